"""The CPU function as the runtime calls it: in a process of its own, a model folder named by its environment."""

import json
import subprocess
from pathlib import Path

import pytest

from contracts.manifest import BrokenArtefact, verify
from functions.inference.probe import PROBE
from tests.fixtures.cpu_function import FORBIDDEN, Ran, run
from tests.fixtures.models.tiny import Tiny, artefact, seal, vectors
from tests.fixtures.problems import assert_names

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact(tmp_path_factory.mktemp("model") / "cpu")


@pytest.fixture(scope="module")
def ran(classifier: Path) -> Ran:
    return run(
        classifier,
        {"inputs": ["lovely", "awful " * 40]},
        {"inputs": "fine", "parameters": {"top_k": 1}},
        {"inputs": []},
        ["no object"],
        None,
        {"inputs": [1, "", "half \ud800"], "parameters": 3, "tier": "tpu", "extra": 1},
        {"inputs": ["fine"] * 10_000},
        {"inputs": "a secret that is broken"},
        # Its caller leaves while it is tokenized.
        {"inputs": ["fine " * 5_000] * 8, "deadline_ms": 1},
        {"inputs": "fine", "deadline_ms": 20_000},
    )


def test_good_events_are_answered_in_the_words_of_the_contract(ran: Ran) -> None:
    first, second, last = ran.answers[0], ran.answers[1], ran.answers[-1]
    assert set(first) == {"outputs", "version", "elapsed_ms"}
    assert [(o["label"], o["tokens"], o["truncated"]) for o in first["outputs"]] == [
        ("good", 3, False),
        ("bad", 16, True),
    ]
    assert [set(output) for output in second["outputs"]] == [
        {"label", "score", "tokens", "truncated", "top"}
    ]
    assert last["outputs"][0]["label"] == "so-so"
    assert first["version"] == second["version"] == last["version"]


@pytest.mark.parametrize(
    ("number", "code", "status", "things"),
    [
        (2, "invalid_input", 422, ("/inputs: ", "empty")),
        (3, "invalid_input", 422, ("JSON object",)),
        (4, "invalid_input", 422, ("JSON object",)),
        (6, "too_large", 413, ("10000 inputs", " 64 ")),
        (7, "model_failed", 502, ("not finite",)),
        (8, "deadline_exceeded", 504, ("nobody waits",)),
    ],
    ids=["empty batch", "a list", "nothing", "10,000 inputs", "not finite", "caller left"],
)
def test_a_bad_event_is_answered_with_a_problem(
    ran: Ran, number: int, code: str, status: int, things: tuple[str, ...]
) -> None:
    problem = ran.answers[number]["problem"]
    assert (problem["code"], problem["status"]) == (code, status)
    assert problem["type"] == f"urn:turnout:problem:{code.replace('_', '-')}"
    assert_names(problem["detail"], things)


def test_every_problem_is_reported_at_once(ran: Ran) -> None:
    problem = ran.answers[5]["problem"]
    assert [error["pointer"] for error in problem["errors"]] == [
        "/extra",
        "/inputs/0",
        "/inputs/1",
        "/inputs/2",
        "/parameters",
        "/tier",
    ]


def test_nothing_is_imported_that_the_image_has_not_got(ran: Ran) -> None:
    assert set(FORBIDDEN) & set(ran.modules) == set()
    assert {"numpy", "onnxruntime", "tokenizers"} <= set(ran.modules)


def test_no_word_of_an_input_reaches_the_log(tmp_path: Path) -> None:
    ran = run(artefact(tmp_path / "cpu", vectors(works=False)), {"inputs": "a secret one"})
    line = ran.log.splitlines()[-1]  # ONNX Runtime logs its warnings of the graph before it
    ((name, problem),) = ran.answers[0].items()
    assert (len(ran.answers), name) == (1, "problem")
    assert problem.pop("detail").startswith("the function failed")
    assert problem == {
        "type": "urn:turnout:problem:internal-error",
        "title": "Internal error",
        "status": 500,
        "code": "internal_error",
    }
    logged = json.loads(line)
    assert (logged["level"], logged["request_id"]) == ("ERROR", "r-1")
    assert "engine.py" in logged["trace"]
    assert "secret" not in ran.log


def test_the_environment_sets_how_many_inputs_are_taken(classifier: Path) -> None:
    ran = run(
        classifier, {"inputs": ["fine"] * 3}, {"inputs": ["fine"] * 2}, TURNOUT_MAX_INPUTS="2"
    )
    problem = ran.answers[0]["problem"]
    assert problem["code"] == "too_large"
    assert_names(problem["detail"], ("3 inputs", " 2 "))
    assert len(ran.answers[1]["outputs"]) == 2


def test_a_deployment_has_the_function_answer_its_probe(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "cpu")
    ran = run(folder, {"probe": True}, {"inputs": "lovely"}, {"probe": 1.5})
    version, good, bad = ran.answers
    assert version == {"version": good["version"]}
    assert bad["problem"]["code"] == "invalid_input"
    text = (folder / PROBE).read_text("utf-8").replace('"bad"', '"good"')
    (folder / PROBE).write_text(text, "utf-8")
    ran = run(seal(folder, Tiny()), {"probe": True}, {"inputs": "lovely"}, TURNOUT_MAX_INPUTS="1")
    failed, good = ran.answers
    assert (failed["problem"]["code"], failed["problem"]["status"]) == ("probe_failed", 503)
    assert_names(failed["problem"]["detail"], ("tiny", '"awful"', "`turnout verify tiny`"))
    assert good["outputs"][0]["label"] == "good"
    assert "Traceback" not in ran.log


def test_a_start_imports_nothing_for_the_probe(ran: Ran) -> None:
    """Show that a cold start does not pay for it."""
    assert "functions.inference.engine" in ran.modules
    assert "functions.inference.probe" not in ran.modules


def test_a_half_copied_artefact_stops_the_function_when_it_starts(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "cpu")
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(folder, {"inputs": "fine"})
    last = caught.value.stderr.splitlines()[-1]
    assert_names(last, ("BrokenArtefact: ", folder / "tokenizer.json", "sealed"))


def test_a_start_reads_none_of_the_sealed_bytes_that_it_does_not_open(tmp_path: Path) -> None:
    """Show that by a file with other bytes of the same size, which `verify` refuses."""
    folder = artefact(tmp_path / "cpu")
    path = folder / PROBE
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(BrokenArtefact, match="probe.json is not the file that was sealed"):
        verify(folder)
    (answer,) = run(folder, {"inputs": "lovely"}).answers
    assert answer["outputs"][0]["label"] == "good"
