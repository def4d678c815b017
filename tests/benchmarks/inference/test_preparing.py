"""The preparation of the table of encoders: which contenders take part, and for which artefact."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.contenders import CANDIDATES, ENCODERS, OURS
from benchmarks.contenders.candidates import folder_of
from benchmarks.inference.candidates import RECIPES, candidates_in, opens
from benchmarks.inference.preparing import PREPARED, Prepared, contenders_beside
from contracts.manifest import MODEL


def test_every_candidate_opens_the_graph_of_a_recipe() -> None:
    assert [opens(each) for each in CANDIDATES] == [recipe.name for recipe in RECIPES.values()]


def test_candidates_are_there_when_every_graph_is(tmp_path: Path) -> None:
    for function in RECIPES:
        assert not candidates_in(tmp_path)
        folder_of(tmp_path, function).mkdir(parents=True)
        (folder_of(tmp_path, function) / MODEL).touch()
    assert candidates_in(tmp_path)


def test_what_the_build_chose_does_not_run_twice() -> None:
    chosen = opens(CANDIDATES[1])
    beside = contenders_beside(chosen)
    assert [each for each in ENCODERS if each not in beside] == [CANDIDATES[1]]
    assert contenders_beside("a recipe of its own") == list(ENCODERS)


def test_what_was_prepared_is_read_with_who_answered_and_who_is_missing(tmp_path: Path) -> None:
    prepared = Prepared(
        artefact="v1",
        recipe="int8",
        answers={OURS: [[1]]},
        missing={"torch compiled": "no compiler"},
    )
    (tmp_path / PREPARED).write_text(json.dumps(asdict(prepared)), "utf-8")
    found = Prepared.read(tmp_path, "v1")
    assert found == prepared
    assert [each.name for each in found.contenders] == [OURS]


def test_answers_of_another_artefact_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"prepared\.json is missing: run `prepare`"):
        Prepared.read(tmp_path, "v2")
    prepared = Prepared(artefact="v1", recipe="int8", answers={}, missing={})
    (tmp_path / PREPARED).write_text(json.dumps(asdict(prepared)), "utf-8")
    with pytest.raises(SystemExit, match="v1 was prepared, not v2"):
        Prepared.read(tmp_path, "v2")
