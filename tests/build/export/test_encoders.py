"""Encoders of every architecture: exported, fused, sealed, and answering as transformers does, alone and in a batch."""

import re
from pathlib import Path
from typing import Any

import onnx
import pytest

from build.export.attention_fusion import unfused_attention_count
from build.export.fusion import fused_operators
from build.families.registry import family_of
from build.plan import plan
from build.proof.sealing import seal
from build.recipes.encoder import FP32_FUSED, INT8
from build.workspace.quiet import quiet
from contracts.prediction import PredictRequest
from functions.inference.engine import Engine
from functions.inference.session import open_session
from tests.fixtures.models.tiny_bert import deployment, texts, write_rows
from tests.fixtures.models.tiny_zoo import ZOO, Architecture, classifier_of

TEXTS = texts(10)


def by_transformers(folder: Path) -> list[dict[str, Any]]:
    """Label and score of each text, one text at a time, so without padding."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        scores = [
            model(**tokenizer(text, return_tensors="pt")).logits[0].softmax(-1) for text in TEXTS
        ]
    names = model.config.id2label
    return [{"label": names[int(s.argmax())], "score": float(s.max())} for s in scores]


@pytest.mark.exhaustive(keep=2)
@pytest.mark.parametrize("architecture", ZOO, ids=[one.name for one in ZOO])
def test_an_architecture_is_fused_and_answers_as_transformers_does(
    tmp_path: Path, architecture: Architecture
) -> None:
    folder = classifier_of(tmp_path / "source", architecture)
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in TEXTS])
    (step, _) = plan(deployment(folder, rows), tmp_path / "out")
    prepared, parts = tmp_path / "prepared", tmp_path / "parts"
    for made in (prepared, parts):
        made.mkdir()
    family_of(step.source).prepare(step.source, prepared, lambda text: None)
    family_of(step.source).make(FP32_FUSED, step.source, prepared, step.rows, parts)
    found = fused_operators(parts / "model.onnx")
    assert ("Attention" in found) == bool(architecture.attention)
    assert found.startswith(architecture.attention)
    assert "Normalization" in found
    assert unfused_attention_count(onnx.load(parts / "model.onnx").graph) == 0
    reference = family_of(step.source).reference(
        step.source, step.rows, prepared, lambda text: None
    )
    manifest = seal(tmp_path / "artefact", step, FP32_FUSED, parts, reference.outputs, prepared)
    assert re.fullmatch(r"torch\.onnx \S+ \(TorchScript\)", manifest.toolchain["exporter"])
    engine = Engine.load(tmp_path / "artefact")
    right = by_transformers(folder)
    assert len({one["label"] for one in right}) > 1
    for size in (1, len(TEXTS)):
        batches = [tuple(TEXTS[i : i + size]) for i in range(0, len(TEXTS), size)]
        outputs = [
            o for inputs in batches for o in engine.predict(PredictRequest(inputs=inputs)).outputs
        ]
        assert [o["label"] for o in outputs] == [one["label"] for one in right]
        assert [o["score"] for o in outputs] == pytest.approx(
            [one["score"] for one in right], abs=1e-4
        )


def test_products_are_quantized_beside_an_attention_that_has_no_weights(tmp_path: Path) -> None:
    (mpnet,) = [one for one in ZOO if one.name == "MPNet"]
    folder = classifier_of(tmp_path / "source", mpnet)
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in TEXTS])
    (step, _) = plan(deployment(folder, rows), tmp_path / "out")
    for made in ("prepared", "parts"):
        (tmp_path / made).mkdir()
    family_of(step.source).prepare(step.source, tmp_path / "prepared", lambda text: None)
    family_of(step.source).make_alone(
        INT8[3], step.source, tmp_path / "prepared", step.rows, tmp_path / "parts"
    )
    (in_blocks,) = [recipe for recipe in INT8 if recipe.name == "int8 in blocks"]
    (tmp_path / "blocks").mkdir()
    family_of(step.source).make_alone(
        in_blocks, step.source, tmp_path / "prepared", step.rows, tmp_path / "blocks"
    )
    open_session(tmp_path / "blocks/model.onnx", threads=1, device="cpu")
    nodes = onnx.load(tmp_path / "parts/model.onnx").graph.node
    # Per layer: queries, keys, values, what joins them, and the two of the network behind; two of the classifier.
    kinds = [node.op_type for node in nodes]
    assert kinds.count("DynamicQuantizeMatMul") + kinds.count("MatMulIntegerToFloat") == 2 * 6 + 2
    assert [node.domain for node in nodes if node.op_type == "Attention"] == ["", ""]
