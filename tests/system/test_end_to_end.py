"""The journey of a user: the real `cdk deploy` of the example models into the local cloud, and real requests to it."""

import gzip
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from build.proof.golden import read_golden
from contracts.manifest import read_manifest
from contracts.tasks import Tier
from images.made.record import read_record
from tests.fixtures.end_to_end_requests import (
    BAD_BODIES,
    INTENTS,
    PACKED,
    assert_problem,
    in_shell,
    raw,
    unusual,
)
from tests.fixtures.paths import ROOT
from tests.fixtures.processes import check_locked_dependencies, kill_functions, stopped
from tests.system.leaving import check_an_orphan_is_deleted, check_nothing_is_left
from tests.system.made_images import image_uris, with_made_images
from tests.system.openai_client import check_vectors
from turnout.client import Endpoint, curl, predict, request
from turnout.local_deployment import SIDE_BY_SIDE, Laptop

pytestmark = pytest.mark.system
VECTORS = "sentence-embedding"
ORIGIN = "https://app.example.com"
OUT = ROOT / "models.out"
MADE = ("turnout-router", "turnout-sentence-embedding-cpu")


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """Deploy the example models, with the scripts of one origin allowed to call them.

    Some images are made and deployed by their digests, the others are built by the engine's stand-in.
    """
    folder = tmp_path_factory.mktemp("config")
    origins = f'[deployment]\nconcurrency = 1000\ncors_origins = ["{ORIGIN}"]\n'
    text = (ROOT / "models.toml").read_text("utf-8") + origins
    with with_made_images(text, OUT, folder, MADE) as laptop:
        yield laptop


@pytest.fixture(scope="module")
def endpoint(laptop: Laptop) -> Endpoint:
    return laptop.deploy()


@pytest.mark.parametrize(
    ("model", "document", "tier", "reason"),
    [
        (INTENTS, {"inputs": ["where is my parcel"]}, "cpu", "fits_cpu"),
        (INTENTS, {"inputs": "where is my parcel", "tier": "gpu"}, "gpu", "pinned"),
        (INTENTS, {"inputs": ["where is my parcel"] * 33}, "gpu", "fits_gpu"),
        (VECTORS, {"inputs": ["a guitar", "an instrument"]}, "cpu", "fits_cpu"),
    ],
    ids=["small", "pinned", "batch", "vectors"],
)
def test_requests_reach_the_tier_that_the_rules_choose(
    endpoint: Endpoint, model: str, document: Any, tier: str, reason: str
) -> None:
    reply = predict(endpoint, model, document)
    assert reply.status == 200, reply.body
    inputs = document["inputs"]
    assert reply.body["model"] == model
    assert (reply.body["tier"], reply.body["reason"]) == (tier, reason)
    assert reply.body["version"] == read_manifest(OUT / model / tier).version
    assert len(reply.body["outputs"]) == (1 if isinstance(inputs, str) else len(inputs))


@pytest.mark.parametrize("tier", ["cpu", "gpu"])
def test_each_tier_answers_its_golden_rows_as_its_artefact_did_when_it_was_built(
    endpoint: Endpoint, tier: str
) -> None:
    rows = read_golden(OUT / INTENTS / tier)
    reply = predict(
        endpoint, INTENTS, {"inputs": [r.request.inputs[0] for r in rows], "tier": tier}
    )
    pairs = list(zip(rows, reply.body["outputs"], strict=True))
    # Its gate has compared those answers with the reference's. Together they are quantized otherwise than alone.
    same = [row.built[0]["label"] == output["label"] for row, output in pairs]
    assert sum(same) >= 0.95 * len(rows)
    if tier == "gpu":
        assert [output["score"] for _, output in pairs] == pytest.approx(
            [row.reference[0]["score"] for row, _ in pairs], abs=1e-4
        )


def test_the_classifier_labels_texts_unlike_any_training_row(endpoint: Endpoint) -> None:
    expected = {
        "they billed my visa two times": "charged-twice",
        "let me speak to a real person please": "talk-to-human",
        "my coupon code is not accepted": "promo-code",
        "can you send me the invoice as pdf": "invoice-request",
    }
    reply = predict(endpoint, INTENTS, {"inputs": list(expected), "parameters": {"top_k": 2}})
    assert [output["label"] for output in reply.body["outputs"]] == list(expected.values())
    assert all(len(output["top"]) == 2 for output in reply.body["outputs"])


def test_a_long_text_is_truncated_and_marked(endpoint: Endpoint) -> None:
    reply = predict(endpoint, VECTORS, {"inputs": ["word " * 600]})
    (output,) = reply.body["outputs"]
    assert output["truncated"] is True
    assert output["tokens"] == read_manifest(OUT / VECTORS / "cpu").max_tokens
    assert len(output["embedding"]) == 384


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_input_is_answered_clearly(endpoint: Endpoint, name: str) -> None:
    body, headers, status, kind = BAD_BODIES[name]
    assert_problem(raw(endpoint, body, **headers), status, kind)


def test_a_compressed_body_is_answered_like_its_content(endpoint: Endpoint) -> None:
    body = json.dumps({"inputs": ["where is my parcel"] * 30}).encode()
    plain, packed = raw(endpoint, body), raw(endpoint, gzip.compress(body), **PACKED)
    assert (plain.status, packed.status) == (200, 200)
    assert packed.body["outputs"] == plain.body["outputs"]


@pytest.mark.parametrize("tier", list(Tier))
def test_every_number_and_text_is_answered_with_outputs_or_a_problem(
    endpoint: Endpoint, tier: Tier
) -> None:
    replies = [raw(endpoint, body) for body in unusual(tier)]
    assert {reply.status for reply in replies} == {200, 400, 422}
    for reply in replies:
        if reply.status != 200:
            assert_problem(reply, reply.status, reply.body["code"].replace("_", "-"))


def test_scripts_of_the_named_origin_alone_may_call(endpoint: Endpoint) -> None:
    asked = {"access_control_request_method": "POST", "authorization": ""}
    allowed, other = (
        raw(endpoint, b"", method="OPTIONS", origin=origin, **asked) for origin in (ORIGIN, "null")
    )
    assert (allowed.status, other.status, other.headers["allow"]) == (204, 405, "POST")
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-origin" not in other.headers


def test_the_client_of_openai_gets_the_vectors_of_our_own_api(endpoint: Endpoint) -> None:
    check_vectors(endpoint, VECTORS, other=INTENTS)


def test_a_batch_whose_vectors_would_not_fit_is_refused_before_it_is_computed(
    endpoint: Endpoint,
) -> None:
    start = time.perf_counter()
    reply = predict(endpoint, VECTORS, {"inputs": ["some text"] * 782})
    assert_problem(reply, 413, "too-large")
    assert "6 MB" in reply.body["detail"]
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("megabytes", [7, 11])
def test_a_body_that_is_too_large_gets_the_gateways_own_answer(
    endpoint: Endpoint, megabytes: int
) -> None:
    reply = raw(endpoint, json.dumps({"inputs": "a" * megabytes * 2**20}).encode())
    assert (reply.status, reply.body) == (413, {"message": "Request Entity Too Large"})


def test_an_unknown_model_a_missing_and_an_invalid_key_are_refused(endpoint: Endpoint) -> None:
    assert_problem(predict(endpoint, "nope", {"inputs": "a"}), 404, "unknown-model")
    for key in ("", "unknown", endpoint.key[:-1]):
        stranger = Endpoint(url=endpoint.url, key=key, ca_file=endpoint.ca_file)
        assert_problem(predict(stranger, INTENTS, {"inputs": "a"}), 401, "unauthorized")


def test_a_tier_that_a_model_lacks_is_named(endpoint: Endpoint) -> None:
    reply = predict(endpoint, VECTORS, {"inputs": "a", "tier": "gpu"})
    assert_problem(reply, 422, "invalid-input")
    assert "it has cpu" in reply.body["detail"]


def test_the_registry_knows_what_the_deployment_wrote(endpoint: Endpoint) -> None:
    reply = request(endpoint, "GET", "/v1/models")
    assert reply.body["object"] == "list"
    assert {model["id"] for model in reply.body["data"]} == {VECTORS, INTENTS}
    for model in reply.body["data"]:
        assert all(tier["deployed"] is True for tier in model["tiers"])
        assert abs(model["created"] - time.time()) < 3600


def test_health_and_the_documentation_need_no_key_and_no_internet(endpoint: Endpoint) -> None:
    nobody = Endpoint(url=endpoint.url, key="", ca_file=endpoint.ca_file)
    assert request(nobody, "GET", "/health").body == {"status": "ok"}
    head = request(nobody, "HEAD", "/health")
    assert (head.status, head.body) == (200, "")
    page = request(nobody, "GET", "/docs").body
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert loaded
    assert not any("//" in address for address in loaded)
    for address in loaded:
        assert request(nobody, "GET", f"/{address}").status == 200
    described = request(nobody, "GET", "/openapi.json").body
    assert "/v1/models/{model}/predict" in described["paths"]


def test_the_curl_line_that_is_printed_works(endpoint: Endpoint) -> None:
    assert in_shell(curl(endpoint, INTENTS, "it's broken"))["reason"] == "fits_cpu"


def test_a_gpu_tier_that_is_down_is_said_and_comes_back(laptop: Laptop, endpoint: Endpoint) -> None:
    pinned = {"inputs": "where is my parcel", "tier": "gpu", "allow_degraded": False}
    (pid,) = [p.pid for p in laptop.cloud.processes() if p.name.startswith("sagemaker")]
    os.kill(pid, signal.SIGKILL)
    down = predict(endpoint, INTENTS, pinned)
    assert down.status in (502, 503)
    assert down.body["type"].startswith("urn:turnout:problem:")
    assert predict(endpoint, INTENTS, {**pinned, "allow_degraded": True}).body["degraded"] is True
    assert predict(endpoint, INTENTS, {"inputs": "where is my parcel"}).status == 200
    deadline = time.monotonic() + 180
    while predict(endpoint, INTENTS, pinned).status != 200:
        assert time.monotonic() < deadline, "the tier did not come back"
        time.sleep(0.2)


def test_a_function_that_was_killed_is_started_again(laptop: Laptop, endpoint: Endpoint) -> None:
    kill_functions(laptop)
    assert predict(endpoint, INTENTS, {"inputs": "hello"}).status == 200


def test_a_function_that_dies_while_it_answers_is_a_failure_of_its_tier(
    laptop: Laptop, endpoint: Endpoint
) -> None:
    pid = stopped(laptop, endpoint)
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    pinned = {"inputs": "hello", "tier": "cpu"}
    assert_problem(predict(endpoint, INTENTS, pinned), 502, "model-failed")


def test_a_function_that_hangs_is_given_up_on_after_its_own_timeout(
    laptop: Laptop, endpoint: Endpoint
) -> None:
    stopped(laptop, endpoint)
    reply = predict(endpoint, INTENTS, {"inputs": "hello", "tier": "cpu"})
    assert_problem(reply, 504, "deadline-exceeded")
    assert reply.body["detail"] == "the cpu tier ran out of its time"
    assert predict(endpoint, INTENTS, {"inputs": "hello"}).status == 200


def test_the_functions_run_with_their_locked_dependencies_alone(laptop: Laptop) -> None:
    functions = [one for one in laptop.cloud.processes() if one.name != "local cloud"]
    assert functions
    for one in functions:
        check_locked_dependencies(one.pid)


def test_a_second_deployment_changes_nothing(laptop: Laptop, endpoint: Endpoint) -> None:
    before = laptop.keys.read_text("utf-8")
    lines: list[str] = []
    laptop.say = lines.append
    laptop.cdk("deploy", "--all", *SIDE_BY_SIDE, "--require-approval", "never")
    assert laptop.keys.read_text("utf-8") == before
    assert sum("no changes" in line for line in lines) == 5
    assert predict(endpoint, INTENTS, {"inputs": "hello"}).status == 200


def test_images_that_were_made_are_deployed_by_their_digests_and_the_others_built(
    laptop: Laptop, endpoint: Endpoint
) -> None:
    assert endpoint
    rows = read_record(laptop.images).pushed
    assert sorted(rows) == sorted(MADE)
    deployed = image_uris(laptop)
    assert {name: deployed[name] for name in MADE} == {name: rows[name].reference for name in MADE}
    assert "@" not in deployed["turnout-support-intent-cpu"]


def test_a_gpu_tier_that_left_models_toml_is_deleted(laptop: Laptop, endpoint: Endpoint) -> None:
    check_an_orphan_is_deleted(laptop, endpoint, INTENTS)


def test_destroying_leaves_images_and_going_down_leaves_nothing(laptop: Laptop) -> None:
    check_nothing_is_left(laptop)
