"""Folders that are no model: the message lists what they hold, and the next step."""

from pathlib import Path

import pytest

from build.sources.formats import LOOKED_FOR
from tests.fixtures.models.sources import assert_refused
from tests.fixtures.models.tiny_recurrent import recurrent, torchscript
from tests.fixtures.models.tiny_saved import saved_model

CORRECT = "put a model there, or correct `source`"


def assert_unknown(folder: Path, *texts: str) -> None:
    """Check that the folder is refused as no model, with these texts."""
    assert_refused(folder, ("format_unknown", *texts))


@pytest.mark.parametrize(
    ("names", "found", "advice"),
    [
        ((), "an empty folder", CORRECT),
        (("notes.md",), "holds notes.md", CORRECT),
        (("a.gguf", "README.md"), "holds README.md, a.gguf", "name a.gguf in it as `source`"),
        (("a.gguf", "config.json"), "holds a.gguf, config.json", "name a.gguf in it as `source`"),
        (("a.tflite",), "holds a.tflite", "name a.tflite in it as `source`"),
        (("a.arpa.gz",), "holds a.arpa.gz", "name a.arpa.gz in it as `source`"),
        (("onnx/a.onnx",), "holds onnx/", "name onnx/a.onnx in it as `source`"),
        ((".cache/a.onnx", "x"), "holds .cache/, x", CORRECT),
        (("a.gguf", "b.gguf"), "holds a.gguf, b.gguf", "name the one to build as `source`"),
        (("state.pt", "code.ts"), "holds code.ts, state.pt", CORRECT),
        (("m.h5",), "holds m.h5", "m.h5 is a Keras file, which may hold code that runs when it is"),
        ([f"{i:02}" for i in range(12)], "holds 00, 01, 02, 03, 04, 05, 06, 07, 08, 09 and 2 more", CORRECT),
    ],
)  # fmt: skip
def test_a_folder_is_refused_with_its_files_and_the_one_to_name(
    tmp_path: Path, names: tuple[str, ...], found: str, advice: str
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert_unknown(tmp_path, f"{found}; ", LOOKED_FOR, f"; {advice}")


@pytest.mark.build
def test_a_program_and_a_saved_model_are_named_by_their_place(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    torchscript(tmp_path / "one/network.pt", recurrent())
    assert_unknown(tmp_path / "one", "name network.pt in it as `source`")
    saved_model(tmp_path / "two/export")
    assert_unknown(tmp_path / "two", "name export in it as `source`")


def test_a_hugging_face_folder_without_weights_names_the_missing_file(tmp_path: Path) -> None:
    config = '{"model_type": "bert", "architectures": ["BertForSequenceClassification"]}'
    (tmp_path / "config.json").write_text(config, "utf-8")
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    assert_refused(tmp_path, ("file_missing", "no model.safetensors", "`save_pretrained`"))


def test_an_adapter_without_any_other_file_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}', "utf-8")
    (tmp_path / "adapter_model.bin").write_bytes(b"x")
    assert_refused(tmp_path, ("format_unsupported", "LORA adapter", "merge"))
