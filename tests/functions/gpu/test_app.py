"""The GPU container's own server over HTTP, as SageMaker calls it; on the CPU, which is all that is here."""

import gzip
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.prediction import PredictRequest, TierAnswer
from contracts.tasks import Tier
from functions.inference.engine import Engine
from functions.inference.probe import PROBE
from tests.fixtures.models.tiny import Tiny, artefact, seal
from tests.fixtures.problems import assert_names
from tests.functions.gpu.server import Client, serving


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact(tmp_path_factory.mktemp("model") / "gpu", Tiny(tier=Tier.GPU))


@pytest.fixture(scope="module")
def client(model: Path) -> Iterator[Client]:
    with serving(model) as client:
        assert client.settled().status == 200
        yield client


def test_a_batch_is_answered_as_the_engine_answers_it(client: Client, model: Path) -> None:
    body = json.dumps({"inputs": ["lovely", "awful " * 40], "parameters": {"top_k": 2}})
    answer = client.request("POST", "/invocations", body.encode())
    request = PredictRequest(inputs=("lovely", "awful " * 40), parameters={"top_k": 2})
    assert (answer.status, answer.kind) == (200, "application/json")
    assert TierAnswer.from_wire(answer.body).outputs == Engine.load(model).predict(request).outputs


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "malformed-request"),
        (b"{", 400, "malformed-request"),
        (b'{"inputs": "\xff"}', 400, "malformed-request"),
        (b'{"inputs": NaN}', 400, "malformed-request"),
        (b"[" * 100_000, 400, "malformed-request"),
        (b'{"inputs": "fine", "inputs": "awful"}', 400, "malformed-request"),
        (b'{"inputs": "fine", "parameters": {"top_k": 1e999}}', 400, "malformed-request"),
        ('{"inputs": "fine"}'.encode("utf-16"), 400, "malformed-request"),
        (b'{"inputs": "\\ud800"}', 422, "invalid-input"),
        (b'{"inputs": "fine", "parameters": {"\\ud800": 1}}', 422, "invalid-input"),
        (b'{"inputs": []}', 422, "invalid-input"),
        (b'{"inputs": "fine", "parameters": {"k": 1}}', 422, "invalid-input"),
        (b'{"inputs": "broken"}', 502, "model-failed"),
        (json.dumps({"inputs": ["a"] * 10_000}).encode(), 413, "too-large"),
        (json.dumps({"inputs": "a" * 6 * 2**20}).encode(), 413, "too-large"),
    ],
    ids=[
        "empty",
        "cut",
        "not utf-8",
        "NaN",
        "deep",
        "a key twice",
        "1e999",
        "UTF-16",
        "half a pair",
        "half a pair in a key",
        "no inputs",
        "parameter",
        "not finite",
        "10,000",
        "7 MB",
    ],
)
def test_a_bad_body_is_answered_with_a_problem(
    client: Client, body: bytes, status: int, kind: str
) -> None:
    answer = client.request("POST", "/invocations", body)
    assert (answer.status, answer.kind) == (status, "application/problem+json")
    assert (answer.body["status"], answer.body["type"]) == (status, f"urn:turnout:problem:{kind}")
    assert "Traceback" not in json.dumps(answer.body)
    assert client.request("GET", "/ping").status == 200


def test_a_compressed_body_is_answered_like_its_content(client: Client) -> None:
    body = json.dumps({"inputs": ["lovely"] * 64}).encode()
    plain = client.request("POST", "/invocations", body)
    packed = client.request("POST", "/invocations", gzip.compress(body), Content_Encoding="gzip")
    assert (plain.status, packed.status) == (200, 200)
    assert packed.body["outputs"] == plain.body["outputs"]


@pytest.mark.parametrize(
    ("body", "encoding", "status", "kind"),
    [
        (gzip.compress(b" " * 6 * 2**20 + b"1"), "gzip", 413, "too-large"),
        (gzip.compress(b"{}")[:-1], "gzip", 400, "malformed-request"),
        (b"{}", "gzip", 400, "malformed-request"),
        (b"{}", "br", 415, "unsupported-encoding"),
    ],
    ids=["bomb", "cut", "not compressed", "brotli"],
)
def test_a_body_that_cannot_be_decompressed_is_answered_with_a_problem(
    client: Client, body: bytes, encoding: str, status: int, kind: str
) -> None:
    answer = client.request("POST", "/invocations", body, Content_Encoding=encoding)
    assert (answer.status, answer.kind) == (status, "application/problem+json")
    assert answer.body["type"] == f"urn:turnout:problem:{kind}"


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 404, None),
        ("GET", "/ping/", 404, None),
        ("POST", "/%ED%A0%80" + "x" * 500, 404, None),
        ("POST", "/ping", 405, {"GET", "HEAD"}),
        ("GET", "/invocations", 405, {"POST"}),
        ("OPTIONS", "/invocations", 405, {"POST"}),
    ],
)
def test_what_the_container_does_not_have_is_a_problem_too(
    client: Client, method: str, path: str, status: int, allow: set[str] | None
) -> None:
    answer = client.request(method, path)
    assert (answer.status, answer.kind) == (status, "application/problem+json")
    assert (answer.body["type"], answer.body["status"]) == ("about:blank", status)
    assert_names(answer.body["detail"], (method, path[:5].split("%")[0], "GET /ping"))
    assert len(answer.body["detail"]) < 400
    assert (set(answer.allow.split(", ")) if answer.allow else None) == allow


def test_head_answers_like_get_without_a_body(client: Client) -> None:
    assert client.request("HEAD", "/ping") == client.request("GET", "/ping")
    assert client.request("HEAD", "/invocations").status == 405


def test_a_gpu_instance_without_cuda_is_never_ready(model: Path) -> None:
    with serving(model, device="cuda") as client:
        down = client.settled()
        refused = client.request("POST", "/invocations", b'{"inputs": "fine"}')
    assert (down.status, refused.status) == (503, 503)
    assert_names(down.body["detail"], ("GPU instance", "CPUExecutionProvider", "CUDA"))


def test_a_broken_artefact_is_reported_and_never_ready(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "gpu", Tiny(tier=Tier.GPU))
    (folder / "model.onnx").unlink()
    with serving(folder) as client:
        answer = client.settled()
    assert answer.status == 503
    assert_names(answer.body["detail"], (folder / "model.onnx", "missing"))


def test_a_model_that_answers_its_probe_otherwise_is_never_ready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = artefact(tmp_path / "gpu", Tiny(tier=Tier.GPU))
    text = (folder / PROBE).read_text("utf-8").replace('"bad"', '"good"')
    (folder / PROBE).write_text(text, "utf-8")
    with serving(seal(folder, Tiny(tier=Tier.GPU))) as client:
        down = client.settled()
        refused = client.request("POST", "/invocations", b'{"inputs": "fine"}')
    assert (down.status, down.body["code"]) == (refused.status, refused.body["code"])
    assert (down.status, down.body["code"]) == (503, "probe_failed")
    assert_names(down.body["detail"], ("tiny", "on gpu", '"awful"', "`turnout verify tiny`"))
    # The log, which is all that SageMaker shows, has the code and the sentence, and no stack.
    (line,) = [record for record in caplog.records if record.name == "turnout.gpu"]
    assert (line.getMessage(), line.exc_info) == (f"probe_failed: {down.body['detail']}", None)


def test_ping_answers_while_the_model_is_loaded(model: Path) -> None:
    loading = threading.Event()

    def load() -> Engine:
        loading.wait(20)
        return Engine.load(model)

    with serving(model, load) as client:
        early = client.request("GET", "/ping")
        loading.set()
        ready = client.settled()
    assert early.status == 503
    assert "being loaded" in early.body["detail"]
    assert ready.status == 200


def test_requests_at_once_are_all_answered_rightly(client: Client) -> None:
    words = {"lovely": "good", "awful": "bad", "fine": "so-so"}
    found: list[bool] = []

    def send(word: str) -> None:
        answer = client.request("POST", "/invocations", json.dumps({"inputs": [word]}).encode())
        found.append(answer.body["outputs"][0]["label"] == words[word])

    threads = [threading.Thread(target=send, args=(word,)) for word in [*words] * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 18
