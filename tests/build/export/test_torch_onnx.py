"""Graphs that torch.onnx traces answer as transformers does, on batches of other sizes than the one that was traced."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import transformers

from build.errors import ExportFailed
from build.export import exporters
from build.export.torch_onnx.encoder import HEADS, export
from build.export.torch_onnx.process import export_folder, export_process
from build.export.torch_onnx.tracing import Differs, compare, example_ids, trace
from build.workspace.quiet import quiet
from functions.inference.session import open_session
from tests.fixtures.models.tiny_bert import POSITIONS, classifier
from tests.fixtures.models.tiny_decoders import gpt2, llama
from tests.fixtures.models.tiny_zoo import ZOO, Architecture, classifier_of
from tests.fixtures.problems import raises

BATCHES = ((1, 2), (2, 9), (5, 16), (1, POSITIONS))


def batch(model: Any, texts: int, tokens: int) -> dict[str, torch.Tensor]:
    """Return a batch of random tokens whose texts have random lengths, padded on the right."""
    random = torch.Generator().manual_seed(texts * tokens)
    pad = model.config.pad_token_id
    ids = torch.randint(4, model.config.vocab_size, (texts, tokens), generator=random)
    lengths = torch.randint(1, tokens + 1, (texts, 1), generator=random)
    mask = (torch.arange(tokens)[None] < lengths).to(torch.int64)
    if model.config.is_encoder_decoder:
        ids[torch.arange(texts), lengths[:, 0] - 1] = model.config.eos_token_id
    types = (torch.arange(tokens)[None] >= lengths // 2).to(torch.int64) * mask
    feed = {"input_ids": torch.where(mask == 1, ids, pad), "attention_mask": mask}
    takes_types = "token_type_ids" in inspect.signature(model.forward).parameters
    if takes_types and getattr(model.config, "type_vocab_size", 0) > 1:
        feed["token_type_ids"] = types
    return feed


def assert_same_answers(model: Any, graph: Path, task: str) -> None:
    """Compare the tokens that are no padding: what is computed for padding is never read."""
    session = open_session(graph, threads=1, device="cpu")
    inputs = [node.name for node in session.get_inputs()]
    assert [node.name for node in session.get_outputs()] == list(HEADS[task].outputs)
    for texts, tokens in BATCHES:
        feed = batch(model, texts, tokens)
        assert set(inputs) == set(feed)
        with torch.inference_mode():
            output = model(**feed)
        found = session.run(None, {name: feed[name].numpy() for name in inputs})
        kept = feed["attention_mask"].numpy() == 1 if HEADS[task].by_token else slice(None)
        for name, values in zip(HEADS[task].outputs, found, strict=True):
            right = output[name].numpy()
            np.testing.assert_allclose(values[kept], right[kept], atol=1e-4)


@pytest.mark.exhaustive(keep=4)
@pytest.mark.parametrize("architecture", ZOO, ids=[one.name for one in ZOO])
def test_a_classifier_of_any_architecture_answers_as_transformers_does(
    tmp_path: Path, architecture: Architecture
) -> None:
    folder = classifier_of(tmp_path / "source", architecture)
    with quiet():
        export(folder, tmp_path / "exported", "text-classification")
        # With the attention that transformers takes by itself, which is not the one that is traced.
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    assert_same_answers(model, tmp_path / "exported/model.onnx", "text-classification")


@pytest.mark.parametrize("task", sorted(set(HEADS) - {"text-generation"}))
def test_the_head_of_each_task_is_exported(tmp_path: Path, task: str) -> None:
    folder = tmp_path / "source"
    torch.manual_seed(3)
    config = transformers.RobertaConfig(
        vocab_size=40,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=POSITIONS + 2,
        type_vocab_size=1,
        num_labels=2 if task == "question-answering" else 3,
    )
    with quiet():
        auto = getattr(transformers, HEADS[task].auto_class)
        auto.from_config(config).save_pretrained(folder)
        export(folder, tmp_path / "exported", task)
        model = auto.from_pretrained(folder)
    assert_same_answers(model, tmp_path / "exported/model.onnx", task)


@pytest.mark.parametrize("make", [gpt2, llama])
def test_a_causal_model_without_a_cache_takes_no_token_types(tmp_path: Path, make: Any) -> None:
    folder = make(tmp_path / make.__name__)
    with quiet():
        export(folder, tmp_path / "exported", "text-generation")
        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert_same_answers(model, tmp_path / "exported/model.onnx", "text-generation")


class _OneByOne(torch.nn.Module):  # type: ignore[misc]
    """A model whose trace has the number of texts in it."""

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.stack([row.sum() * place for place, row in enumerate(ids)]).float(),)


class _ByLength(torch.nn.Module):  # type: ignore[misc]
    """A model whose trace has the branch of short texts."""

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor]:
        return ((ids.sum(1) if ids.shape[1] < 8 else ids.amax(1)).float(),)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (_OneByOne(), r"cannot be run on ids \[3, 4\]"),
        (_ByLength(), r"differs .* of ids \[2, 12\]"),
    ],
    ids=["a loop over texts", "a branch by length"],
)
def test_what_a_trace_has_fixed_is_found(
    tmp_path: Path, module: torch.nn.Module, message: str
) -> None:
    path, feeds = tmp_path / "graph.onnx", [{"ids": example_ids(2, 7, 50)}]
    axes = {"ids": {0: "batch", 1: "tokens"}, "sums": {0: "batch"}}
    with quiet():
        trace(module, feeds[0], ["sums"], axes, path)
    compare(module, path, feeds)
    others = [{"ids": example_ids(texts, tokens, 50)} for texts, tokens in ((2, 12), (3, 4))]
    with pytest.raises(Differs, match=message):
        compare(module, path, others)


def test_the_graph_and_what_made_it_are_written_by_a_process_of_its_own(tmp_path: Path) -> None:
    exported = exporters.export_folder(
        classifier(tmp_path / "bert"), tmp_path / "exported", "text-classification"
    )
    assert [value.name for value in onnx.load(exported / "model.onnx").graph.input] == [
        "input_ids",
        "attention_mask",
        "token_type_ids",
    ]
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    assert exporters.exporter_of(prepared) == {}
    exporters.keep_record(exported, prepared)
    release = torch.__version__.split("+")[0]
    assert exporters.exporter_of(prepared) == {"exporter": f"torch.onnx {release} (TorchScript)"}


def test_a_folder_that_no_exporter_reads_is_refused_by_its_architecture(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "bert")
    (folder / "model.safetensors").write_bytes(b"\0" * 64)
    reasons = ("architecture bert", "torch.onnx", "optimum-onnx", "check that transformers loads")
    with raises("export_failed", folder, *reasons):
        exporters.export_folder(folder, tmp_path / "exported", "text-classification")
    assert not (tmp_path / "exported").exists()


def test_a_process_that_was_ended_is_reported_and_started_again(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "model")
    export_process().process.kill()
    with raises(ExportFailed.code, "torch.onnx ended with -9"):
        export_folder(folder, tmp_path / "first", "text-classification")
    export_folder(folder, tmp_path / "second", "text-classification")
    assert (tmp_path / "second/model.onnx").is_file()


def test_an_error_of_one_export_leaves_the_process_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with raises(ExportFailed.code, "model_type"):
        export_folder(tmp_path / "empty", tmp_path / "first", "text-classification")
    before = export_process().process.pid
    export_folder(classifier(tmp_path / "model"), tmp_path / "second", "text-classification")
    assert export_process().process.pid == before
