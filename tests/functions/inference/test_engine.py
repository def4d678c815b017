"""The engine answers what the graph computes, in order, and refuses what it cannot answer."""

import json
import math
import platform
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.http_errors import InvalidInput
from contracts.limits import LAMBDA_PAYLOAD_BYTES
from contracts.manifest import MANIFEST, check_sizes, kernels_of, read_manifest, sealed_files
from contracts.prediction import PredictRequest, TierAnswer
from functions.inference.engine import Engine
from tests.fixtures.models.tiny import LABELS, MAX_TOKENS, Tiny, artefact, seal, vectors
from tests.fixtures.problems import assert_request_problems, raises
from tests.fixtures.schema_checks import assert_described


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine.load(artefact(tmp_path_factory.mktemp("classifier") / "cpu"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = artefact(tmp_path_factory.mktemp("encoder") / "cpu", vectors())
    return Engine.load(folder, max_inputs=1000)


def predict(engine: Engine, *inputs: str, **parameters: object) -> TierAnswer:
    answer = engine.predict(PredictRequest(inputs=inputs, parameters=parameters))
    assert_described(engine.manifest.task, answer.outputs)
    return answer


def score(*logits: float) -> float:
    """Return the softmax of the first of the logits."""
    return math.exp(logits[0]) / sum(map(math.exp, logits))


def test_a_label_has_the_score_of_its_logit(engine: Engine) -> None:
    (output,) = predict(engine, "Lovely, and fine").outputs
    assert output == {
        "label": "good",
        "score": pytest.approx(score(2.5, 1, 0)),
        "tokens": 6,
        "truncated": False,
    }


def test_inputs_of_a_caller_who_has_left_are_not_run(encoder: Engine) -> None:
    request = PredictRequest(inputs=("fine",) * 900, deadline_ms=1)
    with raises("deadline_exceeded", "nobody waits"):
        encoder.predict(request.due(time.monotonic() - 0.002))
    with raises("deadline_exceeded", "nobody waits"):
        # Tokenizing alone takes longer, so that the caller leaves before the first batch.
        encoder.predict(request.due(time.monotonic()))
    assert len(encoder.predict(request.due(time.monotonic() + 60)).outputs) == 900


def test_answers_keep_the_order_of_the_inputs_whatever_their_length(engine: Engine) -> None:
    texts = ["lovely " * n + "awful" * (n % 2) for n in (9, 1, 12, 3, 2, 7)]
    texts = [*texts, "awful", "fine", "nothing known", "awful awful lovely"]
    together = predict(engine, *texts).outputs
    assert [o["tokens"] for o in together] == [12, 4, 14, 6, 4, 10, 3, 3, 4, 5]
    assert list(together) == [predict(engine, text).outputs[0] for text in texts]


@pytest.mark.parametrize("batches", [True, False])
def test_an_answer_does_not_depend_on_its_neighbours(tmp_path: Path, batches: bool) -> None:
    engine = Engine.load(artefact(tmp_path / "cpu", Tiny(batches=batches)))
    alone = predict(engine, "fine").outputs[0]
    assert predict(engine, "lovely " * 14, "fine", "awful").outputs[1] == alone


def test_a_truncated_text_is_marked(engine: Engine) -> None:
    outputs = predict(
        engine, "lovely " * 14, "lovely " * 15, "lovely " * 14 + "awful " * 50
    ).outputs
    assert [(o["tokens"], o["truncated"]) for o in outputs] == [
        (MAX_TOKENS, False),
        (MAX_TOKENS, True),
        (MAX_TOKENS, True),
    ]
    assert [o["label"] for o in outputs] == ["good"] * 3


def test_the_best_labels_are_listed_with_top_k(engine: Engine) -> None:
    (output,) = predict(engine, "fine", top_k=2).outputs
    assert output["top"] == [
        {"label": "so-so", "score": pytest.approx(score(1, 0.5, 0))},
        {"label": "good", "score": pytest.approx(score(0.5, 1, 0))},
    ]
    assert [len(predict(engine, "fine", top_k=k).outputs[0]["top"]) for k in (1, 3)] == [1, 3]


@pytest.mark.parametrize("top_k", [0, 4, -1, 1.5, "2", None, True, [1]], ids=repr)
def test_an_invalid_top_k_is_named_with_its_limits(engine: Engine, top_k: object) -> None:
    with raises("invalid_input", "/parameters/top_k: ", "from 1 to 3"):
        predict(engine, "fine", top_k=top_k)


def test_every_unknown_parameter_is_reported_at_once(engine: Engine, encoder: Engine) -> None:
    with pytest.raises(InvalidInput) as caught:
        predict(engine, "fine", topk=1, **{"a/b": 2}, top_k=9)
    assert_request_problems(
        caught.value.problems,
        ("/parameters/topk", "unknown", " top_k"),
        ("/parameters/a~1b", "unknown", " top_k"),
        ("/parameters/top_k", "from 1 to 3"),
    )
    with raises("invalid_input", "/parameters/top_k: unknown"):
        predict(encoder, "one", top_k=1)


def test_an_embedding_is_what_the_graph_answers(encoder: Engine) -> None:
    outputs = predict(encoder, "one two two", "two", "neither").outputs
    assert [o["embedding"] for o in outputs] == [[1, 4, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    "text",
    [
        "🙂🙃 lovely",
        "lovely\x00\x07",
        "ﬁne lovely",
        "l" * 100_000 + " lovely",
        "İ lovely",
        "\u202elovely\u2028",
    ],
    ids=["emoji", "control", "ligature", "a very long word", "dotted I", "bidi"],
)
def test_odd_texts_are_answered(engine: Engine, text: str) -> None:
    (output,) = predict(engine, text).outputs
    assert output["label"] == "good"
    json.dumps(output, allow_nan=False)


def test_numbers_that_are_not_finite_are_a_failure_and_not_an_answer(engine: Engine) -> None:
    with raises("model_failed", "not finite"):
        predict(engine, "fine", "broken")
    assert predict(engine, "fine").outputs[0]["label"] == "so-so"


def test_more_inputs_than_the_tier_takes_are_refused(engine: Engine) -> None:
    with raises("too_large", "10000 inputs", " 64 "):
        predict(engine, *["fine"] * 10_000)


def test_a_batch_of_vectors_over_6_mb_is_refused_before_it_is_computed(tmp_path: Path) -> None:
    engine = Engine.load(artefact(tmp_path / "cpu", vectors(384, works=False)), max_inputs=1000)
    with raises("too_large", "782 outputs", "6 MB"):
        predict(engine, *["one"] * 782)
    with pytest.raises(Exception, match="indices element out of data bounds"):
        predict(engine, "one")


@pytest.mark.slow
def test_the_largest_batch_of_vectors_that_is_taken_fits_one_answer(tmp_path: Path) -> None:
    engine = Engine.load(artefact(tmp_path / "cpu", vectors(384)), max_inputs=1000)
    with raises("too_large", "1000 outputs") as caught:
        predict(engine, *["one"] * 1000)
    (limit,) = map(int, re.findall(r"at most (\d+)", str(caught.value)))
    answer = predict(engine, *["one"] * limit).to_wire()
    for output in answer["outputs"]:
        output["embedding"] = [-1.2345678901234567e-38] * 384  # the longest a float is written
    assert len(json.dumps(answer)) <= LAMBDA_PAYLOAD_BYTES
    assert limit > 600


def test_an_incomplete_artefact_is_refused(tmp_path: Path) -> None:
    complete = artefact(tmp_path / "complete")
    changed = shutil.copytree(complete, tmp_path / "changed")
    model = (changed / "model.onnx").read_bytes()
    (changed / "model.onnx").write_bytes(model[:-1] + bytes([model[-1] ^ 1]))
    half = shutil.copytree(complete, tmp_path / "half")
    (half / "model.onnx").write_bytes(model[: len(model) // 2])
    missing = shutil.copytree(complete, tmp_path / "missing")
    (missing / "tokenizer.json").unlink()
    edited = shutil.copytree(complete, tmp_path / "edited")
    text = (edited / MANIFEST).read_text("utf-8").replace('"so-so"', '"great"')
    (edited / MANIFEST).write_text(text, "utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()
    for place, problem in (
        (changed / "model.onnx", "sealed"),
        (half / "model.onnx", "sealed"),
        (missing / "tokenizer.json", "missing"),
        (edited / MANIFEST, "changed"),
        (empty, MANIFEST),
    ):
        with raises("artefact_broken", f"{place} ", problem):
            Engine.load(place if place == empty else place.parent)


def test_a_graph_that_is_not_what_its_manifest_says_is_refused(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "cpu")
    seal(folder, Tiny(labels=("bad", "good")))
    with raises("artefact_broken", "model.onnx", "['b', 3]", "['batch', 2]"):
        Engine.load(folder)


def test_a_library_that_is_not_sealed_is_refused_before_its_code_runs(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "cpu")
    library = folder / kernels_of(platform.machine())
    library.write_bytes(b"no library")
    with raises("artefact_broken", "does not seal", library.name):
        Engine.load(folder)


def test_a_library_whose_bytes_have_changed_is_refused_where_sizes_alone_are_checked(
    tmp_path: Path,
) -> None:
    folder = artefact(tmp_path / "cpu")
    library = folder / kernels_of(platform.machine())
    library.write_bytes(b"no library")
    seal(folder, Tiny())
    library.write_bytes(b"no_library")
    with raises("artefact_broken", library.name, "not the file that was sealed"):
        Engine.open(folder, check_sizes(folder))


def test_an_artefact_with_operators_for_other_machines_alone_is_refused(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "cpu")
    other = folder / kernels_of("other")
    other.write_bytes(b"no library")
    manifest = read_manifest(folder)
    files = (*manifest.files, *sealed_files(folder, [other.name]))
    with raises("artefact_broken", "x86-64 and arm64", platform.machine(), "kernels = false"):
        Engine.open(folder, replace(manifest, files=files))


def test_a_graph_with_an_unknown_input_is_refused(tmp_path: Path) -> None:
    inputs = ("input_ids", "attention_mask", "position_ids")
    folder = artefact(tmp_path / "cpu", Tiny(inputs=inputs))
    with raises("artefact_broken", "model.onnx", "position_ids"):
        Engine.load(folder)


def test_labels_stand_in_the_order_of_the_manifest(engine: Engine) -> None:
    (output,) = predict(engine, "unheard of", top_k=3).outputs
    assert tuple(entry["label"] for entry in output["top"]) == LABELS
