"""Whole builds of tiny models that score: n-grams, recurrent networks and transformers, against the reference."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from build import api
from build.errors import SourceError
from build.export.to_onnx import export
from build.sources.formats import ONNX
from build.sources.source import GraphSource, TransformersSource
from build.workspace.quiet import quiet
from contracts.manifest import verify
from contracts.prediction import PredictRequest
from contracts.specs import Gate, GpuSpec, SourceOptions
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.fixtures.models.sources import assert_refused, read_as
from tests.fixtures.models.tiny_bert import CPU, deployment, write_rows
from tests.fixtures.models.tiny_decoders import CONTEXT, PROMPTS, gpt2, llama
from tests.fixtures.models.tiny_ngrams import LITTLE, by_hand, little, log10, random_model
from tests.fixtures.models.tiny_recurrent import TEXTS, recurrent, tokenizer, torchscript
from tests.fixtures.problems import assert_problems
from turnout.building import proof

SCORES = Task.LANGUAGE_MODEL_SCORING
# Weights from a seed have no reason to bear rounding as those of a trained model do.
GATE = Gate(max_perplexity_ratio=1.2)
TOKENS = 24


def built(source: Path, texts: Any, out: Path, **table: Any) -> dict[str, Any]:
    """Build for both tiers, and return the evidence of the CPU's."""
    rows = write_rows(out.with_suffix(".jsonl"), [{"text": text} for text in texts])
    spec = deployment(source, rows, SCORES, **{"gate": GATE, **table})
    api.run(api.plan(spec, out), out, timed=False)
    evidence: dict[str, Any] = json.loads((out / "tiny/evidence/cpu.json").read_text("utf-8"))
    return evidence


def bare(folder: Path) -> dict[str, Any]:
    """Return the settings that a bare graph needs."""
    return {
        "cpu": replace(CPU, max_tokens=TOKENS),
        "gpu": GpuSpec(instance="ml.g6.xlarge", max_tokens=TOKENS),
        "source_options": SourceOptions(
            tokenizer=tokenizer(folder / "tokens.json"), inputs=("input_ids",)
        ),
    }


def token_scores(engine: Engine, text: str) -> list[dict[str, Any]]:
    request = PredictRequest(inputs=(text,), parameters={"per_token": True})
    found: list[dict[str, Any]] = engine.predict(request).outputs[0]["per_token"]
    return found


def scores(engine: Engine, text: str) -> list[float]:
    return [entry["log_probability"] for entry in token_scores(engine, text)]


def by_torch(logits: Any, ids: list[int]) -> list[float]:
    import torch

    return [
        float(row[i]) for row, i in zip(torch.log_softmax(logits, -1)[0, :-1], ids[1:], strict=True)
    ]


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize(("kind", "state"), [("LSTM", True), ("GRU", False), ("RNN", True)])
def test_a_recurrent_network_is_built_and_scores_as_torch_does(
    tmp_path: Path, kind: str, state: bool
) -> None:
    import torch

    module = recurrent(kind, state=state)
    source = torchscript(tmp_path / "network.pt", module)
    evidence = built(source, TEXTS, tmp_path / "models.out", **bare(tmp_path))
    candidates = {c["recipe"]: c for c in evidence["candidates"]}
    assert list(candidates) == ["fp32", "int8", "int8 weights"]
    assert candidates["fp32"]["difference_max"] < 1e-4
    assert candidates["int8"]["bytes"] < candidates["fp32"]["bytes"]
    graph = onnx.load(tmp_path / "models.out/tiny/gpu/model.onnx").graph
    assert [output.name for output in graph.output] == ["log_probabilities"]
    assert [node.op_type for node in graph.node].count(kind) == 2  # layers
    small = onnx.load(tmp_path / "models.out/tiny/cpu/model.onnx").graph
    assert evidence["precision"] == "int8"
    # ONNX Runtime has a kernel for an LSTM in 8 bits, and none for a GRU or a plain network.
    assert ("DynamicQuantizeLSTM" in {n.op_type for n in small.node}) == (kind == "LSTM")
    engine = Engine.load(tmp_path / "models.out/tiny/gpu")
    for text in (t for t in TEXTS if len(t) < TOKENS):
        ids = engine.model.tokenizer.encode(text).ids  # type: ignore[attr-defined]
        with torch.no_grad():
            output = module(torch.tensor([ids]))
        wanted = by_torch(output[0] if state else output, ids)
        assert scores(engine, text) == pytest.approx(wanted, abs=1e-4)
    assert [entry["token"] for entry in token_scores(engine, "Ab .")] == ["<unk>", "b", " ", "."]


def test_ngrams_are_built_and_score_as_the_file_has_it(tmp_path: Path) -> None:
    path = tmp_path / "random.arpa"
    names = random_model(path, 3, 60, 0.2)
    texts = [" ".join(names[(i * k + k) % 60] for k in range(2 + i % 7)) for i in range(1, 30)]
    out = tmp_path / "models.out"
    evidence = built(path, [*texts, "strange words"], out)
    assert [c["recipe"] for c in evidence["candidates"]] == ["fp32", "8-bit values"]
    assert evidence["source"] == "ARPA file"
    full, small = (verify(out / "tiny" / tier) for tier in ("gpu", "cpu"))
    assert (full.recipe, small.recipe, small.precision) == ("fp32", "8-bit values", "int8")
    assert small.size < full.size
    known, engine = by_hand(path), Engine.load(out / "tiny/gpu")
    for text in texts:
        seen = ["<s>", *text.split(), "</s>"]
        wanted = [
            log10(known, tuple(seen[max(0, i - 2) : i + 1])) * math.log(10)
            for i in range(1, len(seen))
        ]
        assert scores(engine, text) == pytest.approx(wanted, abs=1e-5)
    page = (out / "tiny/report.html").read_text("utf-8")
    assert f"perplexity of {evidence['tokens']} tokens" in page
    assert "The ratio of the artefact&#x27;s perplexity to the reference&#x27;s is" in page
    assert proof(evidence).startswith(f"perplexity {evidence['perplexity_original']:.2f} → ")


def test_a_problem_behind_the_words_of_an_arpa_file_is_reported_and_nothing_is_built(
    tmp_path: Path,
) -> None:
    path = little(tmp_path / "little.arpa.gz", LITTLE.replace("-0.8\ttrain", "0.8\ttrain"))
    with pytest.raises(SourceError) as caught:
        built(path, ["the train"], tmp_path / "models.out")
    line = ("file_damaged", f"{path}: line 19", "log-probability 0.8")
    assert_problems(caught.value.problems, line)
    assert not (tmp_path / "models.out/tiny").exists()


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("make", [gpt2, llama])
def test_a_causal_transformer_is_built_and_scores_as_transformers_does(
    make: Any, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, out = make(tmp_path / "model"), tmp_path / "models.out"
    long = "late again " * 60
    evidence = built(folder, [*PROMPTS, long], out)
    assert [c["recipe"] for c in evidence["candidates"]] == ["fp32", "int8", "int8 weights"]
    # The long one is read in parts, by the reference as well.
    assert evidence["candidates"][0]["difference_max"] < 1e-3
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    theirs = AutoTokenizer.from_pretrained(folder)
    engine = Engine.load(out / "tiny/gpu")
    for text in PROMPTS:
        ids = theirs(text, return_tensors="pt", return_token_type_ids=False)["input_ids"]
        with torch.no_grad():
            wanted = by_torch(model(ids).logits, ids[0].tolist())
        assert scores(engine, text) == pytest.approx(wanted, abs=1e-4)
    assert len(theirs(long)["input_ids"]) - 1 == len(scores(engine, long)) > CONTEXT


def test_a_graph_with_inputs_of_any_name_and_32_bits_is_scored(tmp_path: Path) -> None:
    """The reference is the graph as it was given; the names of its inputs and its output do not matter."""
    source = read_as(TransformersSource, gpt2(tmp_path / "gpt2"), SCORES)
    model = onnx.load(export(source, tmp_path / "exported"))
    new = {"input_ids": "words", "attention_mask": "seen"}
    for node in model.graph.input:
        cast = onnx.helper.make_node(
            "Cast", [new[node.name]], [node.name], to=onnx.TensorProto.INT64
        )
        model.graph.node.insert(0, cast)
        node.name, node.type.tensor_type.elem_type = new[node.name], onnx.TensorProto.INT32
    names = [node.name for node in model.graph.input]
    (tmp_path / "graph").mkdir()
    onnx.save(model, tmp_path / "graph/model.onnx")
    old = {value: key for key, value in new.items()}
    options = SourceOptions(tokenizer=source.tokenizer, inputs=tuple(old[name] for name in names))
    table = {
        "cpu": replace(CPU, max_tokens=CONTEXT),
        "gpu": GpuSpec(instance="ml.g6.xlarge", max_tokens=CONTEXT),
    }
    found = read_as(GraphSource, tmp_path / "graph/model.onnx", SCORES, CONTEXT, options)
    assert (found.kind, set(found.inputs)) == (ONNX, set(new))
    evidence = built(
        tmp_path / "graph/model.onnx",
        PROMPTS,
        tmp_path / "models.out",
        source_options=options,
        **table,
    )
    assert evidence["candidates"][0]["difference_max"] < 1e-4


def assert_outputs_refused(tmp_path: Path, module: Any, *texts: str) -> None:
    """Check that no build is made of a network, for what its outputs are."""
    source = torchscript(tmp_path / "network.pt", module)
    with pytest.raises(SourceError) as caught:
        built(source, TEXTS, tmp_path / "models.out", **bare(tmp_path))
    assert not (tmp_path / "models.out/tiny").exists()
    assert_problems(caught.value.problems, ("outputs_unsupported", source, *texts))


def test_a_network_whose_output_is_not_logits_is_refused(tmp_path: Path) -> None:
    import torch

    class Other(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, inner: Any, turn: bool) -> None:
            super().__init__()
            self.inner, self.turn = inner, turn

        def forward(self, input_ids: Any) -> Any:
            found = self.inner(input_ids)
            return found.transpose(0, 1) if self.turn else torch.softmax(found, -1)

    inner = recurrent(state=False)
    logits = "logits [batch, tokens, vocabulary]"
    assert_outputs_refused(tmp_path, Other(inner, True), logits, "transpose its output")
    softmax = "save it without its softmax"
    assert_outputs_refused(tmp_path, Other(inner, False), "probabilities", softmax)


def test_rows_with_nothing_to_score_are_refused(tmp_path: Path) -> None:
    folder = gpt2(tmp_path / "model")
    with pytest.raises(SourceError) as caught:
        built(folder, ["x", "y"], tmp_path / "models.out")
    (problem,) = caught.value.problems
    assert problem.code == "rows_invalid"
    assert "two tokens" in problem.message


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_of_weights_is_refused_unopened(tmp_path: Path, legacy: bool) -> None:
    import torch

    path = tmp_path / "weights.pt"
    with quiet():
        torch.save(recurrent().state_dict(), path, _use_new_zipfile_serialization=not legacy)
    options = SourceOptions(tokenizer=tokenizer(tmp_path / "tokens.json"))
    advice = "save torch.jit.trace(model, example)"
    problem = ("pickle_refused", "torch.save", "it runs code", advice)
    assert_refused(path, problem, task=SCORES, max_tokens=TOKENS, options=options)
