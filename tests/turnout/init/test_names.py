"""Names of models that are made of their sources: valid ones, whatever the source is called."""

from pathlib import Path

import pytest

from contracts.names import MAX_MODEL_CHARS, is_name
from turnout.init.names import name_for

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("hf://org/all-MiniLM-L6-v2", "all-minilm-l6-v2"),
        (f"hf://org/Name_v1.0@{COMMIT}", "name-v1-0"),
        ("hf://org/repo/Qwen2.5-0.5B.Q4_1.gguf@main", "qwen2-5-0-5b-q4-1"),
        ("s3://bucket/models/intent/", "intent"),
        (Path("/models/intent"), "intent"),
        (Path("/models/intent/checkpoint-1500"), "intent"),
        (Path("/examples/support-intent/model"), "support-intent"),
        (Path("/models/intent/model.onnx"), "intent"),
        (Path("/lm/news.arpa.gz"), "news"),
        (Path(f"/c/models--org--Tiny/snapshots/{COMMIT}"), "tiny"),
        (Path("/models/7b-chat"), "model-7b-chat"),
        (Path("/models/--"), "model"),
        (Path("/模型"), "model"),
        (Path("/Überraschung"), "berraschung"),
        (Path("/model"), "model"),
        ("hf://org/distilbert-base-uncased-finetuned-sst-2-english", "distilbert-base-uncased"),
        ("hf://org/" + "a" * 90, "a" * 32),
    ],
)
def test_a_source_gives_its_model_a_valid_name(source: Path | str, name: str) -> None:
    assert name_for(source, ()) == name
    assert is_name(name, MAX_MODEL_CHARS)


def test_a_name_that_is_taken_gets_a_number_and_stays_valid() -> None:
    assert name_for("hf://org/bert", ["bert", "bert-2"]) == "bert-3"
    long = "a" * MAX_MODEL_CHARS
    other = name_for(f"hf://org/{long}", [long])
    assert other == "a" * 30 + "-2"
    assert is_name(other, MAX_MODEL_CHARS)
