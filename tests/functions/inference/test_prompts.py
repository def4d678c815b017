"""Prompts are put before texts as sentence-transformers does: its own classes are asked for every answer.

The library's own forward pass stands in place of the graph, so that no folder has to be exported.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build.sources.readers import inspect
from build.sources.source import TransformersSource
from build.workspace.quiet import quiet
from contracts.manifest import Manifest
from contracts.prediction import PredictRequest
from contracts.tasks import Task, Tier
from functions.inference.encoder import Encoder
from functions.inference.token_batches import INPUTS
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import encoder, headed, texts
from tests.fixtures.problems import assert_request_problems

pytestmark = pytest.mark.build

SETTINGS = "config_sentence_transformers.json"
TEXTS = texts(6)
QUERY = "great film"
PROMPTS = {"query": "good film ", "passage": "bad music "}
EMBED, RANK = Task.FEATURE_EXTRACTION, Task.TEXT_RANKING


def settle(folder: Path, **settings: Any) -> Path:
    """Return the folder with those settings of the whole model."""
    path = folder / SETTINGS
    saved = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**saved, **settings}), "utf-8")
    return folder


def embedder(place: Path, **settings: Any) -> Path:
    return settle(encoder(place / "embedder"), **settings)


def reranker(place: Path, **settings: Any) -> Path:
    """Return a cross-encoder as sentence-transformers itself saves it."""
    made = headed(place / "made", "BertForSequenceClassification", labels=("relevance",))
    loaded(made, RANK).save_pretrained(str(place / "reranker"))
    return settle(place / "reranker", **settings)


def loaded(folder: Path, task: Task) -> Any:
    from sentence_transformers import CrossEncoder, SentenceTransformer

    with quiet():
        kind = SentenceTransformer if task is EMBED else CrossEncoder
        return kind(str(folder), device="cpu")


def opened(folder: Path, task: Task) -> Encoder:
    """Return what answers requests to the folder's model, over the forward pass of sentence-transformers."""
    import torch

    source = read_as(TransformersSource, folder, task)
    model = loaded(folder, task).eval()
    key = "sentence_embedding" if task is EMBED else "scores"

    def forward(feeds: Any) -> Any:
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(np.array(a)) for name, a in feeds.items()}
            return model({**tensors, "modality": "text"})[key].numpy()

    manifest = Manifest(
        model="tiny",
        task=task,
        tier=Tier.CPU,
        precision="fp32",
        recipe="fp32",
        max_tokens=source.max_tokens,
        labels=source.labels,
        dimensions=32,
        details=source.details,
        toolchain={},
    )
    return Encoder.over(forward, source.tokenizer, manifest, input_names=tuple(INPUTS))


def embedded(model: Encoder, **parameters: Any) -> Any:
    request = PredictRequest(inputs=tuple(TEXTS), parameters=parameters)
    assert model.problems(request) == []
    return np.array([output["embedding"] for output in model.outputs(request)])


def ranked(model: Encoder, **parameters: Any) -> Any:
    request = PredictRequest(inputs=tuple(TEXTS), parameters={"query": QUERY, **parameters})
    assert model.problems(request) == []
    return np.array([output["score"] for output in model.outputs(request)])


def assert_all_differ(*answers: Any) -> None:
    """Fail where two answers are alike, by which a prompt that does nothing would pass."""
    for i, one in enumerate(answers):
        assert all(np.abs(one - other).max() > 1e-3 for other in answers[:i])


def test_an_embedder_puts_the_named_prompt_before_each_text(tmp_path: Path) -> None:
    folder = embedder(tmp_path, prompts=PROMPTS)
    ours, theirs = opened(folder, EMBED), loaded(folder, EMBED)
    found = {name: embedded(ours, prompt_name=name) for name in ("query", "passage", "document")}
    for name, vectors in found.items():
        np.testing.assert_allclose(vectors, theirs.encode(TEXTS, prompt_name=name), atol=1e-5)
    np.testing.assert_allclose(found["query"], theirs.encode_query(TEXTS), atol=1e-5)
    plain = embedded(ours)
    np.testing.assert_allclose(plain, theirs.encode(TEXTS), atol=1e-5)
    # The library has a prompt of that name for every model, which is empty here.
    np.testing.assert_allclose(found["document"], plain)
    assert_all_differ(found["query"], found["passage"], plain)


def test_without_a_name_an_embedder_s_default_prompt_applies(tmp_path: Path) -> None:
    folder = embedder(tmp_path, prompts=PROMPTS, default_prompt_name="passage")
    ours, theirs = opened(folder, EMBED), loaded(folder, EMBED)
    default, none = embedded(ours), embedded(ours, prompt_name="document")
    np.testing.assert_allclose(default, theirs.encode(TEXTS), atol=1e-5)
    np.testing.assert_allclose(default, theirs.encode(TEXTS, prompt_name="passage"), atol=1e-5)
    np.testing.assert_allclose(none, theirs.encode(TEXTS, prompt_name="document"), atol=1e-5)
    assert_all_differ(default, none, embedded(ours, prompt_name="query"))


def test_the_tokens_of_a_prompt_are_counted_and_leave_less_room(tmp_path: Path) -> None:
    folder = embedder(tmp_path, prompts={"long": "good film " * 40})
    model, theirs = opened(folder, EMBED), loaded(folder, EMBED)
    short, long = (
        model.outputs(PredictRequest(inputs=(TEXTS[0],), parameters=parameters))[0]
        for parameters in ({}, {"prompt_name": "long"})
    )
    assert (short["truncated"], long["truncated"]) == (False, True)
    assert short["tokens"] < long["tokens"] == model.manifest.max_tokens
    theirs.max_seq_length = model.manifest.max_tokens
    right = theirs.encode(TEXTS[0], prompt_name="long")
    np.testing.assert_allclose(long["embedding"], right, atol=1e-5)


def test_a_cross_encoder_puts_the_prompt_before_the_query_alone(tmp_path: Path) -> None:
    folder = reranker(tmp_path, prompts=PROMPTS)
    ours, theirs = opened(folder, RANK), loaded(folder, RANK)
    pairs = [(QUERY, text) for text in TEXTS]
    found = {name: ranked(ours, prompt_name=name) for name in PROMPTS}
    for name, scores in found.items():
        np.testing.assert_allclose(scores, theirs.predict(pairs, prompt_name=name), atol=1e-5)
    plain = ranked(ours)
    np.testing.assert_allclose(plain, theirs.predict(pairs), atol=1e-5)
    assert_all_differ(*found.values(), plain)


def test_without_a_name_a_cross_encoder_s_default_prompt_applies(tmp_path: Path) -> None:
    folder = reranker(tmp_path, prompts=PROMPTS, default_prompt_name="query")
    ours, theirs = opened(folder, RANK), loaded(folder, RANK)
    default = ranked(ours)
    right = theirs.predict([(QUERY, text) for text in TEXTS])
    np.testing.assert_allclose(default, right, atol=1e-5)
    assert_all_differ(default, ranked(ours, prompt_name="passage"))


@pytest.mark.parametrize("kind", ["CrossEncoder", "SparseEncoder"])
def test_prompts_of_a_model_that_another_class_saved_are_not_read(
    tmp_path: Path, kind: str
) -> None:
    source = read_as(
        TransformersSource, embedder(tmp_path, prompts=PROMPTS, model_type=kind), EMBED
    )
    assert source.details == {}


def test_prompts_of_a_cross_encoder_without_modules_are_not_read(tmp_path: Path) -> None:
    folder = headed(tmp_path / "source", "BertForSequenceClassification", labels=("relevance",))
    settle(folder, prompts=PROMPTS, default_prompt_name="query", model_type="CrossEncoder")
    theirs = loaded(folder, RANK)
    assert (theirs.prompts, theirs.default_prompt_name) == ({}, None)
    assert read_as(TransformersSource, folder, RANK).details == {}


def test_a_name_that_a_model_does_not_have_is_refused_with_those_that_it_has(
    tmp_path: Path,
) -> None:
    model = opened(embedder(tmp_path, prompts=PROMPTS), EMBED)
    for name in ("passages", "", None, 3, True, ["query"]):
        request = PredictRequest(inputs=("film",), parameters={"prompt_name": name})
        assert_request_problems(
            model.problems(request),
            ("/parameters/prompt_name", "must be one of query, document, passage"),
        )
    ranks = opened(reranker(tmp_path), RANK)
    request = PredictRequest(inputs=("film",), parameters={"query": "x", "prompt_name": "query"})
    assert_request_problems(
        ranks.problems(request),
        ("/parameters/prompt_name", "unknown; this task knows query, raw_scores"),
    )


HALF = "\ud800"


@pytest.mark.parametrize(
    ("settings", "things"),
    [
        ({"prompts": ["query"]}, ["`prompts` is ['query']", "not an object"]),
        ({"prompts": None}, ["`prompts` is None"]),
        ({"prompts": {"query": 3}}, ["'query'", "is 3", "write a text"]),
        ({"prompts": {"": "a"}}, ["''", "a name of 0 characters"]),
        ({"prompts": {"n" * 101: "a"}}, ["101 characters", "1 to 100"]),
        ({"prompts": {"query": "a" * 8001}}, ["'query'", "8001 characters", "cut it to 8000"]),
        ({"prompts": {"query": HALF}}, ["'query'", "half a surrogate pair"]),
        ({"prompts": {str(i): "" for i in range(257)}}, ["257 prompts", "at most 256"]),
        ({"default_prompt_name": "s2s"}, ["'s2s'", "'query', 'document'", "to null"]),
        ({"prompts": {"a": "b"}, "default_prompt_name": ["a"]}, ["['a']", "'document', 'a'"]),
        ({"prompts": {}, "default_prompt_name": ""}, ["`default_prompt_name` is ''"]),
    ],
    ids=str,
)  # fmt: skip
def test_prompts_that_are_not_served_are_refused_by_name(
    tmp_path: Path, settings: dict[str, Any], things: list[str]
) -> None:
    source = embedder(tmp_path, **settings)
    found, problems = inspect(source, EMBED, None, None)
    assert found is None
    (problem,) = problems
    assert problem.code == "setting_invalid"
    assert problem.where.endswith(SETTINGS)
    assert [thing for thing in things if thing not in problem.message] == [], problem.message


def test_every_problem_of_the_prompts_is_named_at_once(tmp_path: Path) -> None:
    prompts: dict[str, Any] = {"a": 1, "b": None, "c": {}, "d": "fine"}
    folder = embedder(tmp_path, prompts=prompts, default_prompt_name="e")
    place = f"{folder}: {SETTINGS}"
    _, problems = inspect(folder, EMBED, None, None)
    assert [(p.code, p.where) for p in problems] == [("setting_invalid", place)] * 3
    # sentence-transformers takes null for an empty text.
    settled = settle(folder, prompts={"b": None}, default_prompt_name="b")
    assert read_as(TransformersSource, settled, EMBED).details == {
        "prompts": {"b": ""},
        "default_prompt_name": "b",
    }
    theirs = loaded(settled, EMBED)
    assert (theirs.prompts["b"], theirs.default_prompt_name) == ("", "b")
