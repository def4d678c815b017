"""Marian's folders, which have no tokenizer.json, answer as transformers does; tokens that differ stop a build."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from build import api
from build.errors import ReadingDiffers
from build.samples.texts import sample_texts
from build.workspace.quiet import quiet
from contracts.manifest import verify
from contracts.specs import Gate
from contracts.tasks import Task
from functions.inference.marian.pieces import PIECES
from tests.build.reading.read_source import Change, Read, read
from tests.fixtures import cpu_function
from tests.fixtures.models.encoder_decoders.marian import marian
from tests.fixtures.models.tiny_bert import CPU, deployment, write_rows
from tests.fixtures.models.tiny_decoders import reference_tokens

ROWS = [
    *({"text": each.text} for each in sample_texts()[::20]),
    {"text": ">>fra<< Where is my parcel?"},
    {"text": ">>xyz<< Where</s>is my parcel?"},
    {"text": "①\u0301 \u1112\u1161\u11ab"},
]


@pytest.fixture(scope="module", params=[False, True], ids=["one list of ids", "two lists"])
def translated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Read:
    make = partial(marian, separate=request.param)
    return read(tmp_path_factory.mktemp("m"), make, Task.TEXT2TEXT_GENERATION, ROWS)


def test_texts_are_translated_as_by_the_library(translated: Read, tmp_path: Path) -> None:
    result = translated.check(tmp_path, Change())
    assert (result.rows, result.near_ties) == (len(ROWS), 0)


def with_pieces(change: Callable[[dict[str, Any]], None]) -> Callable[[Path, Path], Path]:
    def changed(parts: Path, folder: Path) -> Path:
        shutil.copytree(parts, folder)
        document = json.loads((folder / PIECES).read_text("utf-8"))
        change(document)
        (folder / PIECES).write_text(json.dumps(document), "utf-8")
        return folder

    return changed


def without_prefix(document: dict[str, Any]) -> None:
    document["prefix"] = False


def without_map(document: dict[str, Any]) -> None:
    document["charsmap"] = ""


def swapped(document: dict[str, Any]) -> None:
    document["source"][5], document["source"][6] = document["source"][6], document["source"][5]


@pytest.mark.parametrize("change", [without_prefix, without_map, swapped])
def test_a_text_that_becomes_other_tokens_is_named_with_both(
    translated: Read, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    with pytest.raises(ReadingDiffers, match="becomes other tokens than by its own library"):
        translated.check(tmp_path, Change(parts=with_pieces(change)))


@pytest.mark.build
def test_a_folder_is_built_sealed_and_served_by_the_function(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    source = marian(tmp_path / "marian")
    rows = write_rows(tmp_path / "rows.jsonl", ROWS)
    gate = Gate(max_perplexity_ratio=2, min_token_agreement=0.5)
    # In full precision: random weights in fewer bits would write another text.
    cpu = replace(CPU, quantize="none")
    spec = deployment(source, rows, Task.TEXT2TEXT_GENERATION, cpu=cpu, gpu=None, gate=gate)
    api.run(api.plan(spec, tmp_path / "out"), tmp_path / "out", timed=False)
    artefact = tmp_path / "out/tiny/cpu"
    sealed = {file.path for file in verify(artefact).files}
    assert {"encoder.onnx", "decoder.onnx", "tokenizer.json", PIECES} <= sealed
    text = "Where is my parcel?"
    event = {"inputs": [text], "parameters": {"max_new_tokens": 8}}
    ran = cpu_function.run(artefact, event)
    (output,) = ran.answers[0]["outputs"]
    assert output["tokens"] > 3
    assert not {"sentencepiece", "transformers"} & set(ran.modules)
    tokens = reference_tokens(source, text, 8)
    assert output["generated_tokens"] == len(tokens)
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(source)
    assert output["generated_text"] == tokenizer.decode(tokens, skip_special_tokens=True)
