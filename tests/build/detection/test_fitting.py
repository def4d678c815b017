"""The tasks that fit a model, by the files that its library writes: no weights are read."""

import json
from pathlib import Path
from typing import Any

import pytest

from build.detection.described import Described, Output
from build.detection.fitting import fitting_tasks
from build.detection.local_source import describe_local
from build.detection.model_card import ModelCard, read_card
from build.sources import formats
from contracts.specs import SourceOptions
from contracts.tasks import Task
from tests.fixtures.models.tiny_saved import lite, saved_model

INFERENCE = {"0": "entailment", "1": "neutral", "2": "contradiction"}
SENTIMENT = {"0": "bad", "1": "good"}
MEAN = [
    {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]
ALONE = [
    {"idx": 0, "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
]
SCORE = {
    "idx": 1,
    "path": "1_LogitScore",
    "type": "sentence_transformers.cross_encoder.modules.logit_score.LogitScore",
}


def folder(
    place: Path, architecture: str, labels: dict[str, str] | None = None, **files: Any
) -> Path:
    """Write the files of a model: its config, a tokenizer with a mask, and others by their names."""
    config = {"architectures": [architecture], "vocab_size": 3, "model_type": "bert"}
    config |= {"id2label": labels} if labels else {}
    vocabulary = {"model": {"vocab": {"[UNK]": 0, "[MASK]": 1, "a": 2}}}
    written = {
        "config.json": config | files.pop("config", {}),
        "tokenizer.json": vocabulary,
        "tokenizer_config.json": {"mask_token": "[MASK]"},
        **{f"{name}.json": content for name, content in files.items() if name != "card"},
    }
    for name, content in written.items():
        (place / name).write_text(json.dumps(content), "utf-8")
    if "card" in files:
        (place / "README.md").write_text(f"---\n{files['card']}\n---\n# A model\n", "utf-8")
    (place / "model.safetensors").write_bytes(b"")
    return place


@pytest.mark.parametrize(
    ("tasks", "architecture", "files"),
    [
        (["text-classification"], "BertForSequenceClassification", {"labels": SENTIMENT}),
        # transformers leaves the labels of a model with two of them out.
        (["text-classification"], "BertForSequenceClassification", {}),
        (["token-classification"], "XLMRobertaForTokenClassification", {"labels": SENTIMENT}),
        (["fill-mask"], "RobertaForMaskedLM", {}),
        (["question-answering"], "DistilBertForQuestionAnswering", {}),
        (["text-generation"], "Qwen2ForCausalLM", {}),
        (["text-generation"], "GPT2LMHeadModel", {}),
        (["text2text-generation"], "T5ForConditionalGeneration", {}),
        (["feature-extraction"], "BertModel", {"modules": MEAN}),
        (["feature-extraction"], "T5EncoderModel", {}),
        # The modules say what a model is for, whatever head it was trained with.
        (["feature-extraction"], "MPNetForMaskedLM", {"modules": MEAN}),
        (["feature-extraction"], "Qwen3ForCausalLM", {"modules": MEAN}),
        (["text-ranking"], "Qwen3ForCausalLM", {"card": "pipeline_tag: text-ranking"}),
        (
            ["text-ranking"],
            "Qwen3ForCausalLM",
            {
                "modules": [*ALONE, SCORE],
                "config_sentence_transformers": {"model_type": "CrossEncoder"},
            },
        ),
        (
            ["text-ranking"],
            "BertForSequenceClassification",
            {"labels": {"0": "LABEL_0"}, "card": "pipeline_tag: text-ranking"},
        ),
        (
            ["text-ranking"],
            "BertForSequenceClassification",
            {
                "labels": {"0": "LABEL_0"},
                "modules": ALONE,
                "config_sentence_transformers": {"model_type": "CrossEncoder"},
            },
        ),
        (
            ["text-classification", "zero-shot-classification"],
            "BartForSequenceClassification",
            {"labels": INFERENCE},
        ),
        (
            ["zero-shot-classification"],
            "BartForSequenceClassification",
            {"labels": INFERENCE, "card": "pipeline_tag: zero-shot-classification"},
        ),
        (
            ["text-classification"],
            "RobertaForSequenceClassification",
            {"labels": INFERENCE, "card": "license: mit\npipeline_tag: text-classification"},
        ),
        (
            ["text-classification"],
            "BertForSequenceClassification",
            {"labels": {"0": "LABEL_0"}, "config": {"problem_type": "regression"}},
        ),
        # A tag that does not fit the head is somebody's mistake.
        (["fill-mask"], "BertForMaskedLM", {"card": "pipeline_tag: text-classification"}),
        ([], "ViTForImageClassification", {"labels": SENTIMENT}),
    ],
)
def test_the_head_the_modules_and_the_tag_tell_the_task(
    tmp_path: Path, tasks: list[str], architecture: str, files: dict[str, Any]
) -> None:
    model = describe_local(folder(tmp_path, architecture, **files), SourceOptions())
    assert sorted(fitting_tasks(model)) == tasks


def bare(*outputs: Output, format_: str = formats.ONNX, labelled: bool = False) -> list[str]:
    model = Described(format_=format_, outputs=outputs, labelled=labelled)
    return list(fitting_tasks(model))


def test_the_outputs_of_a_bare_graph_tell_the_tasks_that_fit() -> None:
    assert bare(Output(name="logits", shape=(0, 3))) == ["text-classification"]
    assert bare(Output(name="output_0", shape=(0, 3))) == [
        "text-classification",
        "feature-extraction",
    ]
    assert bare(Output(name="output_0", shape=(0, 3)), labelled=True) == ["text-classification"]
    assert bare(Output(name="logits", shape=(0, 1))) == ["text-ranking", "text-classification"]
    assert bare(Output(name="logits", shape=(0, 0, 9))) == ["token-classification"]
    assert bare(Output(name="logits", shape=(0, 0, 32_000))) == ["language-model-scoring"]
    assert bare(Output(name="sentence_embedding", shape=(0, 384))) == ["feature-extraction"]
    spans = (Output(name="start_logits", shape=(0, 0)), Output(name="end_logits", shape=(0, 0)))
    assert bare(*spans) == ["question-answering"]


def test_a_format_without_readable_outputs_leaves_every_task_that_it_can_serve() -> None:
    assert set(bare(format_=formats.TORCHSCRIPT)) == {
        "text-classification",
        "token-classification",
        "text-ranking",
        "feature-extraction",
        "question-answering",
        "language-model-scoring",
    }
    assert set(bare(format_=formats.TORCHSCRIPT, labelled=True)) == {
        "text-classification",
        "token-classification",
    }


def test_a_format_with_one_purpose_tells_the_task_by_itself(tmp_path: Path) -> None:
    for name, task in (
        ("a.gguf", Task.TEXT_GENERATION),
        ("a.arpa.gz", Task.LANGUAGE_MODEL_SCORING),
    ):
        (tmp_path / name).write_bytes(b"")
        assert fitting_tasks(describe_local(tmp_path / name, SourceOptions())) == (task,)
    for name in ("words.vec", "words.txt", "words"):
        (tmp_path / name).write_text("king 0.5 1.5\nqueen 0.5 1\n", "utf-8")
        found = fitting_tasks(describe_local(tmp_path / name, SourceOptions()))
        assert found == (Task.WORD_VECTORS,)


@pytest.mark.parametrize(
    ("header", "tag", "languages"),
    [
        ("language: en\npipeline_tag: fill-mask", "fill-mask", ("en",)),
        ("language:\n- en\n- de\nlicense: mit", "", ("en", "de")),
        ('language: [en, "fr"]', "", ("en", "fr")),
        ("language:\n  - multilingual\n  - en", "", ()),
        ("license: mit", "", ()),
        ("language:", "", ()),
        ("pipeline_tag", "", ()),
    ],
)
def test_the_card_of_a_model_tells_its_tag_and_its_languages(
    tmp_path: Path, header: str, tag: str, languages: tuple[str, ...]
) -> None:
    assert read_card(tmp_path) == ModelCard()
    (tmp_path / "README.md").write_text(f"---\n{header}\n---\nlanguage: xx\n", "utf-8")
    assert read_card(tmp_path) == ModelCard(pipeline_tag=tag, languages=languages)


def test_the_outputs_of_a_tensorflow_model_are_read_without_tensorflow(tmp_path: Path) -> None:
    sources = (saved_model(tmp_path / "model"), lite(tmp_path / "model.tflite"))
    for source in sources:
        model = describe_local(source, SourceOptions(labels=("bad", "good", "so-so")))
        assert model.outputs
        assert fitting_tasks(model) == (Task.TEXT_CLASSIFICATION,)
