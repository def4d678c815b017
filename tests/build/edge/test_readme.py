"""The README of an edge copy: the packages, requests to start from and the parameters of its task."""

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest

from build.edge.contents import ARCHIVE
from build.edge.readme import parameters, readme
from contracts.api.registry import APIS
from contracts.api.task_api import input_problems, parameter_problems
from contracts.manifest import SHORTER, Manifest, SealedFile, kernels_of
from contracts.prediction import PredictRequest, parse_request
from contracts.tasks import Task, Tier


def manifest(task: Task, **details: Any) -> Manifest:
    return Manifest(
        model="tiny",
        task=task,
        tier=Tier.CPU,
        precision="int8",
        recipe="int8 weights",
        max_tokens=16,
        labels=("one", "other"),
        details={"mask_token": "<mask>", **details},
        provenance={"licence": "mit"},
        toolchain={},
        digest="0123456789abcdef",
    )


def commands(task: Task) -> list[str]:
    """Return the arguments that the README shows run.pyz with, read as a shell would."""
    lines = [
        line.strip()
        for line in readme(manifest(task), ARCHIVE).splitlines()
        if line.startswith("    python run.pyz") and "<" not in line.replace("<mask>", "")
    ]
    return [shlex.split(line)[2] for line in lines]


def test_it_names_the_model_its_licence_and_what_to_install() -> None:
    text = readme(manifest(Task.TEXT_CLASSIFICATION), ARCHIVE)
    title = "tiny 0123456789ab: text-classification, int8 weights, licence mit."
    assert text.splitlines()[0] == title
    assert "Python 3.11 or newer" in text
    assert "    pip install onnxruntime==1.28.0 tokenizers==0.23.3 numpy==2.4.6\n" in text
    assert "\n    python run.pyz < lines.txt\n" in text


def test_it_names_the_system_that_operators_are_compiled_for() -> None:
    library = SealedFile(path=kernels_of("x86_64"), sha256="", size=0)
    plain = manifest(Task.TEXT_CLASSIFICATION)
    assert "on Linux, on x86-64 or arm64, then:" in readme(
        replace(plain, files=(library,)), ARCHIVE
    )
    assert "Linux" not in readme(plain, ARCHIVE)


def test_words_are_looked_up_without_a_tokenizer() -> None:
    assert "tokenizers" not in readme(manifest(Task.WORD_VECTORS), ARCHIVE)


@pytest.mark.parametrize("task", Task)
def test_the_examples_of_each_task_are_requests_that_it_answers(task: Task) -> None:
    examples = commands(task)
    assert examples
    for example in examples:
        document = json.loads(example) if example.startswith("{") else {"inputs": example}
        request: PredictRequest = parse_request(document)
        assert input_problems(request.inputs, APIS[task].input) == []
        assert parameter_problems(request.parameters, APIS[task].parameters) == []


def test_the_example_has_the_mask_token_of_the_model() -> None:
    assert commands(Task.FILL_MASK)[0] == "The train is <mask>."


def test_a_task_with_a_required_parameter_has_no_example_of_a_text_alone() -> None:
    (example,) = commands(Task.TEXT_RANKING)
    assert json.loads(example)["parameters"] == {"query": "When does it ship?"}


@pytest.mark.parametrize("task", Task)
def test_each_parameter_of_the_task_is_described(task: Task) -> None:
    text = readme(manifest(task, multi_label=True, prompts={"web": "Search: "}), ARCHIVE)
    for parameter in APIS[task].parameters:
        assert f"  {parameter.name}{' (required)' * parameter.required}: " in text
    assert ("There are no parameters." in text) == (not APIS[task].parameters)


def test_a_threshold_is_for_models_of_many_labels() -> None:
    one, many = (manifest(Task.TEXT_CLASSIFICATION, multi_label=m) for m in (False, True))
    assert [parameter.name for parameter in parameters(one)] == ["top_k"]
    assert [parameter.name for parameter in parameters(many)] == ["top_k", "threshold"]


def test_a_prompt_name_is_for_cross_encoders_with_prompts_and_for_all_embedders() -> None:
    without, with_one = (manifest(Task.TEXT_RANKING, prompts=p) for p in ({}, {"web": "Search: "}))
    for cross_encoder, more in ((without, []), (with_one, ["prompt_name"])):
        names = [parameter.name for parameter in parameters(cross_encoder)]
        assert names == ["query", "raw_scores", *more]
    embedder = manifest(Task.FEATURE_EXTRACTION)
    assert [parameter.name for parameter in parameters(embedder)] == ["prompt_name", "dimensions"]


def test_the_dimensions_of_an_embedder_are_those_that_its_build_has_proved() -> None:
    embedder = replace(
        manifest(Task.FEATURE_EXTRACTION), dimensions=384, details={SHORTER: [256, 64]}
    )
    line = "  dimensions: The dimensions of each vector: 384 or 256 or 64."
    assert line in readme(embedder, "run.pyz").splitlines()
