"""The portability check: artefacts run under an emulated processor, and candidates rejected for it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from build import api
from build.evaluation.metrics import Outputs
from build.proof.emulation import run_under
from build.proof.portability import NOT_CHECKED, check_portability, first_portable
from build.proof.processors import (
    AVX2,
    NOTE,
    PACKAGES,
    Processor,
    all_unavailable,
    instruction_set,
    processors_to_check,
    versions,
)
from build.recipes.encoder import FP32, INT8
from build.recipes.recipe import PREQUANTIZED
from build.step import Step
from build.workspace.cache import Cache
from build.workspace.checkout import ROOT
from tests.build.proof.candidates import GRAVITON2, ROWS, candidate
from tests.fixtures.models.tiny import artefact
from tests.fixtures.models.tiny_bert import classifier, deployment, texts, write_rows
from tests.fixtures.problems import raises
from turnout.building import notes

HERE = Processor(name="here", how="as it is")
ANY_OTHER = "a processor of another kind"
PLAIN = next(recipe for recipe in INT8 if recipe.name == "int8")
FULL = INT8[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact(tmp_path_factory.mktemp("artefact") / "cpu")


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> Step:
    home = tmp_path_factory.mktemp("home")
    rows = write_rows(home / "rows.jsonl", [{"text": text} for text in texts(4)])
    (cpu, _) = api.plan(deployment(classifier(home / "model"), rows), home / "out")
    return replace(cpu, rows=tuple(ROWS))


def processor(name: str) -> Processor:
    """Return one that is emulated; skip the test, with the reason, where it cannot be."""
    found = next(one for one in processors_to_check(here=ANY_OTHER) if one.name == name)
    if found.unavailable:
        pytest.skip(f"{name} is not emulated here: {found.unavailable}")
    return found


def instructions(of: Processor) -> list[str]:
    """Return the instructions that numpy finds there."""
    code = (
        "import json, numpy; print(json.dumps(numpy.show_config(mode='dicts')['SIMD Extensions']))"
    )
    printed = subprocess.run(
        [*of.under, of.python, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **of.environment},
    ).stdout
    found: list[str] = json.loads(printed)["found"]
    return found


def test_the_emulated_processor_has_avx2_and_nothing_later() -> None:
    found = instructions(processor(AVX2))
    assert not [name for name in found if "AVX512" in name or "X86_V4" in name]


@pytest.mark.foreign
def test_the_emulated_graviton_has_dot_products_and_no_vectors_of_any_length() -> None:
    found = instructions(processor(GRAVITON2))
    assert "ASIMDDP" in found
    assert "SVE" not in found


@pytest.mark.parametrize("name", [AVX2, pytest.param(GRAVITON2, marks=pytest.mark.foreign)])
def test_a_model_answers_under_emulation_as_it_does_here(folder: Path, name: str) -> None:
    plain: list[Outputs] = [[{}]] * len(ROWS)
    lines: list[str] = []
    there = run_under(processor(name), folder, ROWS, plain, lines.append)
    here = run_under(HERE, folder, ROWS, plain)
    assert [o[0]["label"] for o in there] == [o[0]["label"] for o in here]
    assert [o[0]["score"] for o in there] == pytest.approx([o[0]["score"] for o in here], abs=1e-6)
    assert sorted(text[:6] for text in lines) == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    assert "with" in instruction_set()


def test_the_worker_needs_no_more_than_the_packages_that_are_put_there() -> None:
    """The small systems hold these alone; anything heavier that the worker came to import would end it there."""
    code = (
        "import sys, build.proof.worker, build.evaluation.teacher_forcing, functions.inference.engine as e;"
        "from functions.inference import encoder, generation, seq2seq;"
        "print(*{m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    ours = {"__main__", "_distutils_hack", "build", "contracts", "functions"}
    # What ONNX Runtime's own start brings where it is installed, and does without elsewhere.
    assert set(printed.split()) - ours <= {*PACKAGES, "flatbuffers", "google", "packaging"}


def test_an_emulator_that_cannot_run_it_is_an_error_that_names_the_artefact(folder: Path) -> None:
    failing = Processor(name="failing", how="false", under=("false",))
    with raises("build_failed", "cpu cannot be run", "ended with 1"):
        run_under(failing, folder, ROWS, [[{}]] * len(ROWS))


def test_a_candidate_that_answers_differently_under_emulation_is_rejected_for_the_next(
    folder: Path, step: Step, tmp_path: Path
) -> None:
    other = [[{"label": "so-so"}]] * len(ROWS)
    failing = replace(candidate(folder, FULL, other), folder=folder)
    cache = Cache(tmp_path)
    problem, seen = check_portability(step, failing, cache, [HERE])
    assert problem == "on here: same answer as here 0.2500, below 0.98"
    assert [entry["verdict"] for entry in seen] == ["measured here", problem[9:]]
    good = candidate(folder, PLAIN)
    found = first_portable(step, [failing, good], cache, [HERE])
    assert found.chosen is good
    assert found.problems == {folder: problem}
    assert found.processors[-1]["verdict"] == "holds"


def test_if_no_quantized_candidate_is_portable_full_precision_ships(
    folder: Path, step: Step, tmp_path: Path
) -> None:
    other = [[{"label": "so-so"}]] * len(ROWS)
    failing = [candidate(folder, recipe, other) for recipe in (FULL, PLAIN)]
    exact = candidate(folder, FP32)
    found = first_portable(step, [*failing, exact], Cache(tmp_path), [HERE])
    assert found.chosen is exact
    assert found.problems[folder].startswith("on here: same answer")
    assert first_portable(step, failing, Cache(tmp_path), [HERE]).chosen is None


def test_a_processor_that_informs_rules_nothing_out(
    folder: Path, step: Step, tmp_path: Path
) -> None:
    other = [[{"label": "so-so"}]] * len(ROWS)
    failing = candidate(folder, FULL, other)
    problem, seen = check_portability(
        step, failing, Cache(tmp_path), [replace(HERE, blocking=False)]
    )
    assert problem == ""
    assert seen[-1]["verdict"] == "same answer as here 0.2500, below 0.98"


def test_without_an_emulator_what_may_saturate_is_not_shipped(
    folder: Path, step: Step, tmp_path: Path
) -> None:
    recipes = (FULL, PREQUANTIZED, PLAIN, FP32)
    assert [recipe.may_saturate for recipe in recipes] == [True, True, False, False]
    cache, unavailable = Cache(tmp_path), [replace(HERE, unavailable="apt-get install qemu-user")]
    problem, seen = check_portability(step, candidate(folder, FULL), cache, unavailable)
    assert problem.endswith("its sums may saturate: apt-get install qemu-user")
    assert (seen[-1]["rows"], seen[-1]["verdict"]) == (0, NOT_CHECKED)
    assert seen[-1]["how"] == "not asked: apt-get install qemu-user"
    assert check_portability(step, candidate(folder, PLAIN), cache, unavailable)[0] == ""
    given = candidate(folder, PREQUANTIZED)
    note = "not checked on other processors, where its sums may saturate: apt-get install qemu-user"
    for portable, expected in ((True, (note,)), (False, ())):
        result = first_portable(replace(step, portable=portable), [given], cache, unavailable)
        assert (result.chosen, result.notes) == (given, expected)
    assert first_portable(replace(step, portable=True), [given], cache, [HERE]).notes == ()
    exact, seen = check_portability(step, candidate(folder, FP32), cache, unavailable)
    assert (exact, len(seen)) == ("", 1)


def test_a_processor_is_blocking_only_where_a_tier_can_be_deployed(tmp_path: Path) -> None:
    processors = processors_to_check(tmp_path, ANY_OTHER)
    assert [p.name for p in processors if p.blocking] == [AVX2]
    assert all(p.unavailable == "a reason" for p in all_unavailable(processors, "a reason"))


def test_the_processor_of_this_machine_is_not_emulated(
    folder: Path, step: Step, tmp_path: Path
) -> None:
    """All rows have been run on it, and emulation takes minutes."""
    names = [p.name for p in processors_to_check(here=ANY_OTHER)]
    assert AVX2 in names
    assert not any(p.native for p in processors_to_check(here=ANY_OTHER))
    for name in names:
        (native,) = [p for p in processors_to_check(here=name) if p.native]
        assert (native.name, native.unavailable) == (name, "")
    own, cache = replace(HERE, native=True), Cache(tmp_path)
    problem, seen = check_portability(step, candidate(folder, FULL), cache, [own])
    assert (problem, [one["verdict"] for one in seen]) == ("", ["measured here"])
    # So that the same candidate ships from any machine if nothing is to be checked.
    (unchecked,) = all_unavailable((own,), "`portable` is false")
    problem, _ = check_portability(step, candidate(folder, FULL), cache, [unchecked])
    assert problem.endswith("its sums may saturate: `portable` is false")


def test_an_arm64_system_is_requested_until_it_is_there_and_fits(tmp_path: Path) -> None:
    def problem() -> str:
        return next(p.unavailable for p in processors_to_check(tmp_path) if p.name == GRAVITON2)

    assert "make processors" in problem()
    if not shutil.which("qemu-aarch64"):
        pytest.skip("qemu-aarch64 is not installed")
    (tmp_path / NOTE).write_text(json.dumps({**versions(), "python": "usr/bin/python3.11"}))
    assert problem() == ""
    (tmp_path / NOTE).write_text(json.dumps({**versions(), "numpy": "1.0"}))
    assert problem() == "`make processors` again: its numpy differ from those here"


def test_the_table_has_the_rejected_candidates_and_the_rows_that_differ() -> None:
    seen = [
        {"name": instruction_set(), "verdict": "measured here"},
        {"name": AVX2, "verdict": "holds"},
        {"name": "other", "verdict": NOT_CHECKED},
        {"name": GRAVITON2, "verdict": "same answer as here 0.9000, below 0.98"},
    ]
    over = [{"recipe": "int8 full range", "why": f"on {AVX2}: same answer as here 0.97"}]
    document = {"recipe": "int8", "rows": 60, "processors": seen, "passed_over": over, "notes": []}
    document["reading"] = {"why": ""}
    assert notes(document) == [
        f"int8 ships rather than int8 full range: on {AVX2}: same answer as here 0.97",
        f"on {GRAVITON2}: same answer as here 0.9000, below 0.98",
    ]
