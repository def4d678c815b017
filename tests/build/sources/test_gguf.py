"""GGUF files as sources: headers, unpacked weights, tokenizers and builds."""

import importlib.metadata
import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from build import api
from build.sources.gguf.header import read_header
from build.sources.gguf.source import ARCHITECTURES, PRE_TOKENIZERS, tokenizer_of, unpack
from build.sources.source import GgufSource
from build.step import toolchain
from contracts.manifest import verify
from contracts.prediction import PredictRequest
from contracts.specs import CpuSpec, Gate
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import deployment, write_rows
from tests.fixtures.models.tiny_decoders import CONTEXT, LINES, PROMPTS, llama, reference_tokens
from tests.fixtures.models.tiny_gguf import inspected, write_gguf

pytestmark = pytest.mark.build

GATE = Gate(max_perplexity_ratio=2, min_token_agreement=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("source") / "llama")


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    return write_gguf(folder, folder.parent / "tiny.gguf")


def test_the_header_describes_the_source(file: Path) -> None:
    source = read_as(GgufSource, file, Task.TEXT_GENERATION)
    assert (source.kind, source.stored) == ("GGUF file", "Q8_0, with F32")
    assert (source.licence, source.max_tokens) == ("apache-2.0", CONTEXT)
    assert source.details == {
        "context": CONTEXT,
        "eos_token_ids": [1],
        "max_new_tokens": CONTEXT // 2,
        "start_token_id": 1,
    }


def test_what_is_unpacked_is_the_model_that_was_packed(
    folder: Path, file: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file

    unpack(file, tmp_path / "unpacked")
    before = load_file(folder / "model.safetensors")
    after = load_file(tmp_path / "unpacked/model.safetensors")
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        # A block's largest takes 127 steps, so nothing is off by more than half of one,
        # and what a scale in half precision adds.
        np.testing.assert_allclose(after[name], tensor, atol=np.abs(tensor).max() / 230)


def test_its_tokenizer_makes_the_tokens_of_the_one_it_was_written_from(
    folder: Path, file: Path
) -> None:
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ours = tokenizer_of(read_header(file), file)
    for text in (*PROMPTS, *LINES, "</s> 12 345", "  two  spaces\n\n\tand\r\n a tab", ""):
        assert ours.encode(text).ids == theirs.encode(text).ids
        ids = theirs.encode(text).ids
        assert ours.decode(ids) == theirs.decode(ids)


def test_no_first_token_is_added_unless_the_file_demands_it(folder: Path, tmp_path: Path) -> None:
    path = write_gguf(folder, tmp_path / "m.gguf", {"tokenizer.ggml.add_bos_token": None})
    assert tokenizer_of(read_header(path), path).encode("x").ids[0] != 1


def test_files_beside_it_decide_nothing(folder: Path, tmp_path: Path) -> None:
    words = [*["<unk>", "<s>", "</s>"], *"abcdefghijklmnopqrstuvwxyz", "▁"]
    changes = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.scores": [-float(i) for i in range(len(words))],
        "tokenizer.ggml.token_type": [2, 3, 3] + [1] * 27,
        "tokenizer.ggml.merges": None,
    }
    path = write_gguf(folder, tmp_path / "m.gguf", changes)
    before = tokenizer_of(read_header(path), path).to_str()
    (tmp_path / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "T5TokenizerFast"}', "utf-8"
    )
    assert tokenizer_of(read_header(path), path).to_str() == before


def test_a_build_depends_on_the_version_of_the_dequantizing_library(
    file: Path, folder: Path
) -> None:
    source, _ = inspected(file)
    other, _ = inspected(folder)
    assert source
    assert other
    assert toolchain(source) == {**toolchain(other), "gguf": importlib.metadata.version("gguf")}


@pytest.mark.parametrize(
    ("pre", "pieces"),
    [
        ("gpt-2", ["ab", "Ġ1234", "'s", "Ċ"]),
        ("smollm", ["ab", "Ġ", "1", "2", "3", "4", "'s", "Ċ"]),
        ("qwen2", ["ab", "Ġ", "1", "2", "3", "4", "'s", "Ċ"]),
        ("llama-bpe", ["ab", "Ġ", "123", "4", "'s", "Ċ"]),
    ],
)
def test_a_text_is_split_by_the_pre_tokenizer_that_the_file_names(
    folder: Path, tmp_path: Path, pre: str, pieces: list[str]
) -> None:
    path = write_gguf(folder, tmp_path / "m.gguf", {"tokenizer.ggml.pre": pre})
    steps = tokenizer_of(read_header(path), path).pre_tokenizer
    assert [piece for piece, _ in steps.pre_tokenize_str("ab 1234's\n")] == pieces
    assert pre in PRE_TOKENIZERS


def test_a_file_is_built_and_generates_as_transformers_does(file: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in PROMPTS])
    out = tmp_path / "models.out"
    spec = deployment(file, rows, Task.TEXT_GENERATION, gate=GATE)
    api.run(api.plan(spec, out), out, timed=False)
    unpack(file, tmp_path / "llama")
    engine = Engine.load(out / "tiny/gpu")
    tokenizer = tokenizer_of(read_header(file), file)
    save(tokenizer, tmp_path / "llama")
    for text in PROMPTS:
        response = engine.predict(PredictRequest(inputs=(text,), parameters={"max_new_tokens": 16}))
        wanted = tokenizer.decode(reference_tokens(tmp_path / "llama", text, 16))
        assert response.outputs[0]["generated_text"].rstrip("\ufffd") == wanted.rstrip("\ufffd")
    document = json.loads((out / "tiny/evidence/cpu.json").read_text("utf-8"))
    assert (document["source"], document["stored"]) == ("GGUF file", "Q8_0, with F32")
    assert document["candidates"][0]["agreement"] == 1
    assert verify(out / "tiny/cpu").provenance["licence"] == "apache-2.0"
    sealed = [file.path for file in verify(out / "tiny/cpu").files]
    assert sealed == ["model.onnx", "probe.json", "tokenizer.json"]
    assert "(Q8_0, with F32)" in (out / "tiny/report.html").read_text("utf-8")


def test_a_file_scores_texts_as_the_folder_it_unpacks_to(file: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in PROMPTS])
    unpack(file, tmp_path / "llama")
    save(tokenizer_of(read_header(file), file), tmp_path / "llama")
    plain, outputs = CpuSpec(quantize="none", portable=False), []
    for source in (file, tmp_path / "llama"):
        out = tmp_path / f"out-{source.name}"
        spec = deployment(source, rows, Task.LANGUAGE_MODEL_SCORING, cpu=plain, gpu=None)
        api.run(api.plan(spec, out), out, timed=False)
        request = PredictRequest(inputs=PROMPTS, parameters={"per_token": True})
        outputs.append(Engine.load(out / "tiny/cpu").predict(request).outputs)
    assert sum(output["tokens"] for output in outputs[0]) > 10
    for ours, theirs in zip(*outputs, strict=True):
        assert ours["log_probability"] == pytest.approx(theirs["log_probability"], abs=1e-4)
        assert [t["token"] for t in ours["per_token"]] == [t["token"] for t in theirs["per_token"]]


def save(tokenizer: Tokenizer, folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)


def test_transformers_reads_every_architecture_that_is_taken() -> None:
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    assert set(ARCHITECTURES) <= set(GGUF_SUPPORTED_ARCHITECTURES)
