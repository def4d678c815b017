"""TensorFlow SavedModels and TFLite files as sources: signatures, read without TensorFlow."""

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from build import api
from build.errors import SourceError
from build.export.to_onnx import export
from build.sources.formats import SAVED_MODEL, TFLITE
from build.sources.readers import inspect
from build.sources.source import GraphSource, Unusable
from build.sources.tensorflow import environment, savedmodel_signature, tflite_signature
from build.sources.tensorflow.signature import Signature, Tensor
from contracts.problems import Problem
from contracts.specs import SourceOptions
from contracts.tasks import Task
from tests.fixtures.models import tiny_bert
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import LABELS, deployment, texts, write_rows
from tests.fixtures.models.tiny_saved import (
    FLOAT32,
    INT32,
    INT64,
    SCORES,
    STRING,
    lite,
    saved_model,
)
from tests.fixtures.problems import assert_problems, raises

TEXTS = texts(40)
CLASSES = Task.TEXT_CLASSIFICATION


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an environment that seems to have the converters."""
    place = tmp_path / "converters"
    for name in ("tensorflow_cpu-2.21.0", "tf2onnx-1.17.0"):
        (place / f"lib/python3.11/site-packages/{name}.dist-info").mkdir(parents=True)
    (place / "bin").mkdir()
    (place / "bin/python").touch()
    monkeypatch.setenv(environment.ENVIRONMENT.variable, str(place))
    return place


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    (tmp_path / "words").mkdir()
    tiny_bert.write_tokenizer(tmp_path / "words")
    return tmp_path / "words/tokenizer.json"


def problems_of(
    source: Path, task: Task = CLASSES, limit: int | None = None, **options: Any
) -> list[Problem]:
    found, problems = inspect(source, task, limit, SourceOptions(**options))
    assert found is None
    return problems


def assert_refused(source: Path, code: str, *texts: str, **options: Any) -> None:
    """Check that the source is refused with one problem that has this code and these texts."""
    assert_problems(problems_of(source, **options), (code, source, *texts))


def test_the_signature_of_a_saved_model_is_read_without_tensorflow(tmp_path: Path) -> None:
    assert savedmodel_signature.read_signature(saved_model(tmp_path / "model")) == Signature(
        key="serving_default",
        inputs=(Tensor(name="ids", kind="int32", shape=(0, 16)),),
        outputs=(Tensor(name="scores", kind="float32", shape=(0, 3)),),
        ends=("softmax",),
    )
    other = saved_model(tmp_path / "other", operator="Sigmoid")
    assert savedmodel_signature.read_signature(other).ends == ("sigmoid",)
    assert savedmodel_signature.read_signature(
        saved_model(tmp_path / "add", operator="Add")
    ).ends == ("",)


def test_the_signature_of_a_tflite_file_is_read_without_tensorflow(tmp_path: Path) -> None:
    assert tflite_signature.read_signature(lite(tmp_path / "a.tflite")) == Signature(
        inputs=(Tensor(name="ids", kind="int32", shape=(0, 16)),),
        outputs=(Tensor(name="scores", kind="float32", shape=(1, 3)),),
        ends=("softmax",),
    )
    assert tflite_signature.read_signature(lite(tmp_path / "b.tflite", operator=14)).ends == (
        "sigmoid",
    )


@pytest.mark.build
def test_without_the_converters_a_plan_names_the_command_that_installs_them(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "nowhere"
    monkeypatch.setenv(environment.ENVIRONMENT.variable, str(place))
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in TEXTS])
    options = SourceOptions(tokenizer=tokenizer, labels=LABELS)
    for source, kind in (
        (saved_model(tmp_path / "model"), SAVED_MODEL),
        (lite(tmp_path / "model.tflite"), TFLITE),
    ):
        with pytest.raises(SourceError) as caught:
            api.plan(deployment(source, rows, gpu=None, source_options=options), tmp_path / "out")
        assert_problems(
            caught.value.problems,
            ("converter_missing", f"tiny: {source}", kind, str(place), "run `make converters`"),
        )


@pytest.mark.build
def test_a_fixed_length_comes_from_the_file_and_its_padding_from_the_tokenizer(
    tmp_path: Path, tokenizer: Path, installed: Path
) -> None:
    padded = Tokenizer.from_file(str(tokenizer))
    padded.enable_padding(direction="left", pad_id=3, pad_token="[SEP]")
    padded.save(str(tokenizer))
    options = SourceOptions(tokenizer=tokenizer, labels=LABELS)
    source = read_as(GraphSource, saved_model(tmp_path / "model"), CLASSES, None, options)
    assert (source.kind, source.inputs, source.max_tokens) == (SAVED_MODEL, ("input_ids",), 16)
    assert (source.removable_activation, source.pad_token_id) == ("softmax", 3)
    assert source.batchable
    assert source.details == {"length": 16, "pad_left": True}
    assert source.tools == {"tensorflow": "2.21.0", "tf2onnx": "1.17.0"}
    given: dict[str, Any] = {"tokenizer": tokenizer, "labels": LABELS}
    longer = ("reads 16 tokens", "max_tokens is 17", "lower it")
    assert_refused(source.path, "length_invalid", *longer, limit=17, **given)


def test_facts_that_the_file_lacks_have_to_be_given(tmp_path: Path, installed: Path) -> None:
    two = {"a": ("a:0", INT64, (-1, -1)), "b": ("b:0", INT64, (-1, -1))}
    names = "input_ids, attention_mask, token_type_ids"
    source = saved_model(tmp_path / "two", inputs=two)
    assert_refused(source, "inputs_unsupported", "its inputs are a, b", "as `inputs`", names)
    assert_problems(
        problems_of(source, inputs=("input_ids", "attention_mask")),
        ("tokenizer_missing", source, "name a tokenizer.json as `tokenizer`"),
        ("labels_missing", source, "give `labels`, in the order of its outputs"),
        ("length_missing", source, "give max_tokens in its tier's table"),
    )


TEXT = {"text": ("serving_ids:0", STRING, (-1,))}
WORDS = {"words": ("serving_ids:0", FLOAT32, (-1, 16))}
EIGHT = {"ids": ("serving_ids:0", INT32, (8, 16))}
CUBE = {"ids": ("serving_ids:0", INT32, (-1, 16, 2))}
TOKENS = {"scores": ("call:0", FLOAT32, (-1, 16, 3))}
SEVERAL = {**SCORES, "other": ("call:0", FLOAT32, (-1, 3))}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"inputs": TEXT}, ("inputs_unsupported", "texts as they are (text)", "`tokenizer`")),
        ({"inputs": WORDS}, ("inputs_unsupported", "words is float32", "int32 or int64")),
        ({"inputs": EIGHT}, ("inputs_unsupported", "8 texts at a time")),
        ({"inputs": CUBE}, ("inputs_unsupported", "[0, 16, 2]", "[batch, tokens]")),
        ({"outputs": TOKENS}, ("outputs_unsupported", "[0, 16, 3]", "needs 2 axes")),
        ({"outputs": SEVERAL}, ("outputs_unsupported", "other, scores", "the one that is meant")),
        ({"operator": "WriteFile"}, ("operator_unsupported", "WriteFile")),
        ({"operator": "EagerPyFunc"}, ("operator_unsupported", "EagerPyFunc")),
        ({"asset": "../../secret"}, ("file_outside", "saved_model.pb", "'../../secret'")),
        ({"tag": "train"}, ("outputs_unsupported", "no graph for serving", "`model.export(")),
        (
            {"key": "__saved_model_init_op"},
            ("outputs_unsupported", "no signature serving_default, but none", "`model.export("),
        ),
    ],
)
def test_a_saved_model_that_cannot_be_built_is_refused_with_a_reason(
    tmp_path: Path, installed: Path, changes: dict[str, Any], problem: tuple[str, ...]
) -> None:
    assert_refused(saved_model(tmp_path / "model", **changes), *problem, labels=LABELS)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kind": 5}, ("inputs_unsupported", "texts as they are (ids)", "`tokenizer`")),
        (
            {"custom": "FlexStringLength", "operator": 32},
            ("operator_unsupported", "FlexStringLength"),
        ),
        ({"operator": 142}, ("operator_unsupported", "VAR_HANDLE", "save it with operators on")),
        ({"size": 4}, ("labels_mismatch", "4 numbers", "3 labels", "`labels`")),
    ],
)
def test_a_tflite_file_that_cannot_be_built_is_refused_with_a_reason(
    tmp_path: Path, installed: Path, changes: dict[str, Any], problem: tuple[str, ...]
) -> None:
    assert_refused(lite(tmp_path / "model.tflite", **changes), *problem, labels=LABELS)


@pytest.mark.slow
def test_truncated_files_are_refused(tmp_path: Path, installed: Path) -> None:
    content = (saved_model(tmp_path / "model") / "saved_model.pb").read_bytes()
    for keep in range(3, len(content)):
        (tmp_path / "model/saved_model.pb").write_bytes(content[:keep])
        found, *_ = problems_of(tmp_path / "model")
        assert_problems([found], ("file_damaged", tmp_path / "model", "copy it again"))
    content = lite(tmp_path / "model.tflite").read_bytes()
    for keep in (0, 7, 8, 20, 60, 100):
        (tmp_path / "model.tflite").write_bytes(content[:keep])
        found, *_ = problems_of(tmp_path / "model.tflite")
        assert_problems([found], ("file_damaged", tmp_path / "model.tflite", "copy it again"))


@pytest.mark.slow
def test_damaged_bytes_raise_unusable_and_nothing_else(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    read = (
        (saved_model(tmp_path / "model") / "saved_model.pb", savedmodel_signature.read_signature),
        (lite(tmp_path / "model.tflite"), tflite_signature.read_signature),
    )
    for path, reader in read:
        content = path.read_bytes()
        for _ in range(500):
            damaged = bytearray(content)
            damaged[random.integers(8, len(content))] = random.integers(0, 256)
            path.write_bytes(damaged)
            with contextlib.suppress(Unusable):
                reader(path.parent if path.suffix == ".pb" else path)


def test_a_saved_model_made_to_mislead_its_reader_is_refused(tmp_path: Path) -> None:
    path = saved_model(tmp_path / "model") / "saved_model.pb"
    content = path.read_bytes()
    group, length = b"\x0b", b"\xff" * 9 + b"\x01"
    for hostile in (
        group * 100_000,  # groups within groups, each of which its reader would descend into
        b"\x12" + length,  # a message of 2^64 bytes
        content.replace(b"scores", b"score\xff"),  # a name that is not UTF-8
    ):
        path.write_bytes(hostile)
        with pytest.raises(Unusable) as caught:
            savedmodel_signature.read_signature(path.parent)
        assert_problems(caught.value.problems, ("file_damaged", "", "SavedModel", "copy it again"))


def test_nodes_that_read_each_other_in_a_circle_end_in_no_activation(tmp_path: Path) -> None:
    circle = saved_model(tmp_path / "model", operator="Identity", input_="last:output:0")
    assert savedmodel_signature.read_signature(circle).ends == ("",)


def test_a_tflite_file_made_to_mislead_its_reader_is_refused(tmp_path: Path) -> None:
    path = lite(tmp_path / "model.tflite")
    content = path.read_bytes()
    shape = struct.pack("<3i", 2, -1, 16)  # a vector: its length, then its sizes
    assert shape in content
    path.write_bytes(content.replace(shape, struct.pack("<3i", (1 << 31) - 1, -1, 16)))
    with pytest.raises(Unusable) as caught:
        tflite_signature.read_signature(path)
    assert_problems(caught.value.problems, ("file_damaged", "", "model.tflite", "copy it again"))


def test_a_task_that_a_bare_graph_cannot_do_is_refused(tmp_path: Path) -> None:
    source = saved_model(tmp_path / "model")
    assert_refused(source, "task_unsupported", "TensorFlow SavedModel", task=Task.TEXT_GENERATION)
    with pytest.raises(Unusable):
        tflite_signature.read_signature(tmp_path / "model/saved_model.pb")


@pytest.mark.build
def test_an_environment_that_fails_is_reported_in_one_line(
    tmp_path: Path, tokenizer: Path, installed: Path
) -> None:
    (installed / "bin/python").write_text("#!/bin/sh\necho chatter >&2\necho the end >&2\nexit 3\n")
    (installed / "bin/python").chmod(0o755)
    options = SourceOptions(tokenizer=tokenizer, labels=LABELS)
    source = read_as(GraphSource, saved_model(tmp_path / "model"), CLASSES, None, options)
    with raises("export_failed", source.path, "(the end)"):
        export(source, tmp_path / "exported")
