"""A model whose user allows operators of our own is built with one candidate more."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from build import api
from build.recipes.encoder import KERNELS
from contracts.manifest import verify
from contracts.specs import Deployment, Gate
from tests.fixtures.models.tiny_bert import CPU, LABELS, deployment, headed, texts, write_rows


def deployed(folder: Path, *, kernels: bool) -> Deployment:
    """Return a deployment of a classifier whose heads are of 16 columns, the fewest that the operator takes."""
    if not folder.exists():
        headed(
            folder / "model",
            "BertForSequenceClassification",
            labels=LABELS,
            num_attention_heads=2,
        )
        rows = [{"text": text, "label": LABELS[i % 3]} for i, text in enumerate(texts(40))]
        write_rows(folder / "rows.jsonl", rows)
    gate = Gate(min_accuracy_ratio=0.01, min_agreement=0.6, allow_uninformative_rows=True)
    made = deployment(folder / "model", folder / "rows.jsonl", gate=gate)
    model = replace(made.models[0], cpu=replace(CPU, kernels=kernels), gpu=None)
    return replace(made, models=(model,))


@pytest.mark.build
def test_the_operators_decide_the_build_key_where_they_are_allowed(tmp_path: Path) -> None:
    (without,) = api.plan(deployed(tmp_path / "home", kernels=False), tmp_path / "out")
    (allowed,) = api.plan(deployed(tmp_path / "home", kernels=True), tmp_path / "out")
    assert not without.kernels
    assert allowed.kernels
    assert without.build_key != allowed.build_key


@pytest.mark.foreign
def test_the_candidate_is_measured_beside_the_others(tmp_path: Path) -> None:
    out = tmp_path / "out"
    steps = api.plan(deployed(tmp_path / "home", kernels=True), out)
    api.run(steps, out)
    evidence = json.loads((out / "tiny/evidence/cpu.json").read_text("utf-8"))
    (found,) = [one for one in evidence["candidates"] if one["recipe"] == KERNELS.name]
    assert found["agreement"] >= 0.8
    assert found["failures"] == []
    verify(out / "tiny/cpu")
