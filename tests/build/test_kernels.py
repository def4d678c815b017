"""A model is built with one candidate more, of operators of our own, where they are compiled and not forbidden."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from build import api
from build.plan import missing_kernels
from build.recipes.encoder import KERNELS
from build.step import Step
from contracts.manifest import verify
from contracts.specs import CpuSpec, Deployment, Gate
from tests.fixtures.models.tiny_bert import CPU, LABELS, deployment, headed, texts, write_rows

# Columns of the inner layer that make the model one of 10 MB.
LARGE = 20_000


def deployed(
    folder: Path, *, kernels: bool | None = None, heads: int = 2, inner: int = LARGE
) -> Deployment:
    """Return a deployment of a classifier whose heads are of 16 columns, the fewest that the operator takes."""
    if not folder.exists():
        headed(
            folder / "model",
            "BertForSequenceClassification",
            labels=LABELS,
            num_attention_heads=heads,
            intermediate_size=inner,
        )
        rows = [{"text": text, "label": LABELS[i % 3]} for i, text in enumerate(texts(40))]
        write_rows(folder / "rows.jsonl", rows)
    gate = Gate(min_accuracy_ratio=0.01, min_agreement=0.6, allow_uninformative_rows=True)
    made = deployment(folder / "model", folder / "rows.jsonl", gate=gate)
    model = replace(made.models[0], cpu=replace(CPU, kernels=kernels), gpu=None)
    return replace(made, models=(model,))


def candidates_of(steps: tuple[Step, ...], out: Path) -> tuple[list[str], list[str]]:
    """Build, and return the recipes of the candidates and the notes."""
    api.run(steps, out)
    evidence = json.loads((out / "tiny/evidence/cpu.json").read_text("utf-8"))
    return [one["recipe"] for one in evidence["candidates"]], evidence["notes"]


@pytest.mark.foreign
def test_a_setting_decides_the_build_key_and_what_is_compiled_here_does_not(tmp_path: Path) -> None:
    found = {
        setting: api.plan(deployed(tmp_path / "home", kernels=setting), tmp_path / "out")[0]
        for setting in (None, True, False)
    }
    assert {setting: bool(step.kernels) for setting, step in found.items()} == {
        None: True,
        True: True,
        False: False,
    }
    assert len({step.build_key for step in found.values()}) == 3
    absent = replace(found[None], kernels="", no_kernels="they are not compiled")
    assert absent.decided_by == found[None].decided_by


@pytest.mark.foreign
@pytest.mark.parametrize(("inner", "edge"), [(64, False), (LARGE, True)])
def test_a_small_model_and_one_with_an_edge_copy_have_to_ask_for_operators(
    tmp_path: Path, inner: int, edge: bool
) -> None:
    for setting in (None, True):
        made = deployed(tmp_path / "home", kernels=setting, inner=inner)
        made = replace(made, models=(replace(made.models[0], edge=edge),))
        (step,) = api.plan(made, tmp_path / "out")
        assert (bool(step.kernels), step.no_kernels) == (setting is True, "")


@pytest.mark.parametrize(("kernels", "problems"), [(None, 0), (True, 1), (False, 0)])
def test_a_build_that_asks_for_operators_which_are_not_compiled_fails_with_the_command(
    kernels: bool | None, problems: int
) -> None:
    spec = CpuSpec(kernels=kernels)
    assert missing_kernels(spec, "") == []
    found = missing_kernels(spec, "they are not compiled: run `make kernels`")
    assert [(each.where, "make kernels" in each.message) for each in found] == [
        ("cpu.kernels", True)
    ] * problems


@pytest.mark.foreign
def test_the_candidate_is_measured_beside_the_others(tmp_path: Path) -> None:
    out = tmp_path / "out"
    steps = api.plan(deployed(tmp_path / "home"), out)
    recipes, notes = candidates_of(steps, out)
    evidence = json.loads((out / "tiny/evidence/cpu.json").read_text("utf-8"))
    (found,) = [one for one in evidence["candidates"] if one["recipe"] == KERNELS.name]
    assert found["agreement"] >= 0.8
    assert found["failures"] == []
    assert not [note for note in notes if "operators" in note]
    verify(out / "tiny/cpu")
    (again,) = api.plan(deployed(tmp_path / "home"), out)
    assert again.current


@pytest.mark.build
@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("heads", [2, 4])
def test_without_the_candidate_a_build_says_why_and_goes_on(tmp_path: Path, heads: int) -> None:
    """Of two heads the libraries are missing; four have 8 columns each, which the operator does not take."""
    out = tmp_path / "out"
    missing = "they are not compiled: run `make kernels`"
    (step,) = api.plan(deployed(tmp_path / "home", heads=heads, kernels=False), out)
    step = replace(
        step, kernels="" if heads == 2 else "0", no_kernels=missing if heads == 2 else ""
    )
    recipes, notes = candidates_of((step,), out)
    assert KERNELS.name not in recipes
    why = missing if heads == 2 else "its heads or inner layers are no multiples of 16 columns"
    assert f"no candidate has operators of our own: {why}" in notes
