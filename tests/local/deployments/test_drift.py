"""Samples are compared beside the answers: until a threshold is withdrawn, and until a canary is taken back."""

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from build.cascade.calibrating import Asked, calibrate
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec, Throttle
from contracts.tasks import Task
from local.permissions.access import identity_policies
from local.permissions.policies import listed
from local.permissions.services import WRITE
from tests.build.cascade.moods import artefacts, rows, write
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.models.tiny import Tiny, artefact
from tests.fixtures.synthesis import KEY, inputs, synthesise
from tests.local.deployments.in_process import Assembly, InProcess, StackFailed
from turnout.client import Endpoint, predict, request

Json = dict[str, Any]
# The tiers agree on these; they do not on "sly", of which the CPU tier is as sure.
LIKE_THE_ROWS = ("awful 17 awful", "lovely 17 lovely", "awful 18 awful", "lovely 18 lovely")
OTHERS = ("sly 17 sly", "sly 18 sly", "sly 19 sly", "sly 20 sly")
WITHIN_S = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Moods:
    """The deployment of a calibrated cascade, all of whose kept answers are sampled."""

    client: LocalCloudClient
    cdk: InProcess
    deployment: Deployment
    endpoint: Endpoint

    def ask(self, texts: Sequence[str], **options: Any) -> Json:
        """Return the answer to a request, which none of these fails."""
        reply = predict(self.endpoint, "moods", {"inputs": list(texts), **options})
        assert reply.status == 200, reply.body
        return dict(reply.body)

    def cascade(self) -> Json:
        reply = request(self.endpoint, "GET", "/v1/models/moods")
        assert reply.status == 200, reply.body
        return dict(reply.body["cascade"])

    def log(self, function: str) -> str:
        path: Path = self.client.cloud.state / f"logs/{function}.log"
        return path.read_text("utf-8")

    def lines(self, function: str) -> list[Json]:
        """Return the lines of a log that are objects."""
        found = self.log(function).splitlines()
        return [json.loads(line) for line in found if line.startswith("{")]

    def until(self, holds: Callable[[Json], bool], meanwhile: Callable[[], object]) -> Json:
        """Return what the model says of its cascade, once something holds of that."""
        end = time.monotonic() + WITHIN_S
        while not holds(found := self.cascade()):
            assert time.monotonic() < end, found
            meanwhile()
            time.sleep(0.2)
        return found


@pytest.fixture(scope="module")
def init_s() -> float:
    """Return a time in which functions start on a machine that has much else to do."""
    return 60.0


@pytest.fixture(scope="module")
def gateway_timeout_s() -> float:
    return 120.0


@pytest.fixture(scope="module")
def moods(local_cloud: LocalCloudClient, tmp_path_factory: pytest.TempPathFactory) -> Moods:
    folder = tmp_path_factory.mktemp("drift")
    spec = ModelSpec(
        name="moods",
        source="unused",
        task=Task.TEXT_CLASSIFICATION,
        eval=write(folder / "eval.jsonl", [{"text": "awful lovely", "label": "bad"}]),
        cpu=CpuSpec(memory_mb=1024, timeout_s=7, canary_minutes=5),
        gpu=GpuSpec(instance="ml.g6.xlarge", sample=1.0),
    )
    out = artefacts(folder / "models.out")
    labelled = write(folder / "rows.jsonl", rows(awful=150, lovely=150, dim=60, sly=4))
    calibration = calibrate(spec, out, Asked(rows=labelled, max_loss=0.05))
    assert calibration.chosen.kept > 0.5
    deployment = Deployment(
        name="drift", concurrency=1_000, throttle=Throttle(rate=1_000, burst=1_000), models=(spec,)
    )
    synthesise(inputs(folder, deployment), folder / "cdk.out")
    cdk = InProcess(client=local_cloud)
    cdk.bootstrap()
    cdk.deploy(Assembly.read(folder / "cdk.out"))
    cloud = local_cloud.cloud
    return Moods(
        client=local_cloud,
        cdk=cdk,
        deployment=deployment,
        endpoint=Endpoint(url=cloud.url, key=KEY, ca_file=str(cloud.ca_file)),
    )


def test_a_threshold_is_withdrawn_once_traffic_is_of_another_kind(moods: Moods) -> None:
    """Every request is answered, those that are sampled and those behind the withdrawal as well."""
    assert moods.cascade()["drift"] is None
    quiet = moods.until(
        lambda shown: (shown["drift"] or {}).get("samples", 0) >= 20,
        lambda: moods.ask(LIKE_THE_ROWS),
    )
    assert (quiet["drift"]["disagreed"], quiet["drift"]["withdrawn"]) == (0, False)
    assert quiet["bound"] is not None
    drifted = moods.until(
        lambda shown: shown["drift"]["withdrawn"],
        lambda: moods.ask(OTHERS),
    )
    assert drifted["bound"] is None
    assert drifted["drift"]["disagreed"] >= 5
    answer = moods.ask(OTHERS)
    assert (answer["tier"], answer["reason"]) == ("gpu", "withdrawn")
    assert {output["label"] for output in answer["outputs"]} == {"so-so"}
    assert moods.ask(OTHERS, prefer="cheap")["tier"] == "cpu"


def test_what_was_sampled_is_in_the_metrics_and_no_text_is_in_a_log(moods: Moods) -> None:
    metrics = [line for line in moods.lines("drift-sampler") if "_aws" in line]
    assert {(line["deployment"], line["model"], line["of"]) for line in metrics} == {
        ("drift", "moods", "kept")
    }
    assert {1, 0} == {value for line in metrics for value in line.get("disagreed", ())}
    sampled = [line.get("sampled") for line in moods.lines("drift-router")]
    assert len(LIKE_THE_ROWS) in sampled
    for name in ("drift-sampler", "drift-router"):
        assert "sly" not in moods.log(name)


def test_the_sampling_function_may_do_what_it_does_and_nothing_else(moods: Moods) -> None:
    made = moods.client.cloud.access.made
    assert [one for one in made if not one.allowed] == []
    roles = {one.caller for one in made if "SamplerRole" in one.caller}
    (role,) = roles
    actions = {one.action for one in made if one.caller == role}
    assert actions == {
        "sagemaker:InvokeEndpoint", "dynamodb:GetItem", "dynamodb:PutItem", *WRITE,
    }  # fmt: skip
    granted = {
        action
        for document in identity_policies(role)
        for statement in listed(document["Statement"])
        for action in listed(statement["Action"])
    }
    assert granted == actions


@dataclass(slots=True)
class Deploying:
    """A deployment in a thread, as it waits for its canary."""

    moods: Moods
    assembly: Assembly
    failed: str = ""
    thread: threading.Thread = field(default_factory=threading.Thread)

    def __enter__(self) -> "Deploying":
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.thread.join(WITHIN_S)

    def run(self) -> None:
        try:
            self.moods.cdk.deploy(self.assembly)
        except StackFailed as error:
            self.failed = str(error)

    @property
    def goes_on(self) -> bool:
        return self.thread.is_alive()


def test_a_version_that_the_gpu_tier_contradicts_is_taken_back(
    moods: Moods, tmp_path: Path
) -> None:
    """It makes no error: each request is answered, and the answers are compared as shadows."""
    released = moods.ask(LIKE_THE_ROWS, tier="cpu")["version"]
    out = artefacts(tmp_path / "models.out")
    shutil.rmtree(out / "moods/cpu")
    turned = {"awful": (0, 2.0, 0), "lovely": (2.0, 0, 0)}
    artefact(out / "moods/cpu", Tiny(model="moods", words=turned))
    (spec,) = moods.deployment.models
    assert spec.gpu is not None
    spec = replace(spec, gpu=replace(spec.gpu, shadow=1.0))
    changed = inputs(tmp_path, replace(moods.deployment, models=(spec,)))
    synthesise(changed, tmp_path / "cdk.out")
    end, answers = time.monotonic() + WITHIN_S, []
    with Deploying(moods, Assembly.read(tmp_path / "cdk.out")) as deploying:
        while deploying.goes_on:
            assert time.monotonic() < end
            answers.append(moods.ask(LIKE_THE_ROWS))
    assert "One or more alarms have been activated" in deploying.failed
    assert "CanaryContradicted" in deploying.failed
    # Until the new table is there, the withdrawn threshold has the GPU tier answer.
    versions = Counter(one["version"] for one in answers if one["tier"] == "cpu")
    assert versions[released] > versions.total() / 2
    (wrong,) = versions.keys() - {released}
    assert versions[wrong] >= 5
    assert {moods.ask(LIKE_THE_ROWS)["version"] for _ in range(30)} == {released}
    lines = [line for line in moods.lines("drift-sampler") if "contradicted" in line]
    assert {line["canary"] for line in lines if line["of"] == "all"} == {wrong}
    found = {(line["by"], line["contradicted"]) for line in lines if line["of"] == "all"}
    assert found == {("canary", 1.0), ("released", 0.0)}
