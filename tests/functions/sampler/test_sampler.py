"""The sampling function, over moto's DynamoDB and a server in place of SageMaker."""

import importlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest

from contracts.cascade.drift import Baseline, Watch, drift_key, watched
from contracts.cascade.sampling import Calibrated, Sample
from contracts.http_errors import TooLarge, problem_document
from contracts.states.rows import KEY, CopyCounts, Row, copies_key
from contracts.tasks import Task
from functions.sampler.rows import FRESH_S, TRIES, Rows
from functions.sampler.sampler import Sampler
from tests.fixtures.fake_aws import Service, model_error, serving

TABLE, MODEL, GPU = "shop-states", "support-intent", "shop-support-intent-gpu-g6-xl"
# A model of which a canary is watched.
CANARY = "moods"
CALIBRATED = Calibrated(digest="d" * 64, baseline=Baseline(kept=350, disagreed=9))
KEY_OF_WATCH = drift_key(MODEL, CALIBRATED.digest)
SECRET = "my account number is 17"
SAMPLE = Sample(
    model=MODEL,
    task=Task.TEXT_CLASSIFICATION,
    address=GPU,
    sleeps=False,
    version="5eeded000000",
    newest="5eeded000000",
    inputs=(SECRET, "two", "three"),
    parameters={"top_k": 1},
    outputs=tuple({"label": label, "score": 0.9} for label in ("a", "b", "c")),
    kept=(True, False, True),
    shadow=True,
    calibrated=CALIBRATED,
)


REFUSED = Service(
    status=400, body={"message": SECRET}, headers={"x-amzn-ErrorType": "ValidationError"}
)


def answered(*labels: str) -> dict[str, Any]:
    outputs = [{"label": label, "score": 0.5} for label in labels]
    return {"outputs": outputs, "version": "f00dfeed0000", "elapsed_ms": 2}


@dataclass(slots=True, kw_only=True)
class Deployment:
    """The function's handler, its table and its GPU tier; `write` and `pause` keep what they are called with."""

    dynamodb: Any
    gpu: Service
    handler: Any
    lines: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def rows(self, client: Any = None) -> Rows:
        return Rows(client=client or self.dynamodb, table=TABLE, pause=self.pauses.append)

    def take(self, sample: Sample, rows: Rows | None = None) -> list[dict[str, Any]]:
        """Return the lines that a sample makes."""
        self.lines.clear()
        made: Sampler = self.handler.sampler
        replace(made, write=self.lines.append, rows=rows or self.rows()).take(sample)
        assert SECRET not in "".join(self.lines)
        return [json.loads(line) for line in self.lines]

    def watch(self) -> Watch:
        item = self.dynamodb.get_item(TableName=TABLE, Key={KEY: {"S": KEY_OF_WATCH}})["Item"]
        return Watch.from_document(Row.from_item(item).document)

    def put(self, key: str, written_at: float, document: dict[str, Any]) -> None:
        row = Row(key=key, written_at=written_at, expires_at=written_at + 60, document=document)
        self.dynamodb.put_item(TableName=TABLE, Item=row.to_item())


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    from moto import mock_aws

    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("TURNOUT_DEPLOYMENT", "shop")
    monkeypatch.setenv("TURNOUT_STATES", TABLE)
    monkeypatch.setenv("TURNOUT_CANARIES", f"words {CANARY}")
    with serving(Service(body=answered("a", "x", "y"))) as gpu, mock_aws():
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", gpu.address)
        dynamodb = boto3.client("dynamodb")
        dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": KEY, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": KEY, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        import functions.sampler.handler as handler

        yield Deployment(dynamodb=dynamodb, gpu=gpu, handler=importlib.reload(handler))


def test_a_sample_is_asked_on_the_gpu_tier_and_compared(deployed: Deployment) -> None:
    every, kept = deployed.take(SAMPLE)
    ((path, headers, body),) = deployed.gpu.seen
    assert path == f"/endpoints/{GPU}/invocations"
    assert headers["X-Amzn-SageMaker-Inference-Component"] == GPU
    assert body == {"inputs": [SECRET, "two", "three"], "parameters": {"top_k": 1}}
    assert (every["of"], every["disagreed"]) == ("all", [0, 1, 1])
    assert (kept["of"], kept["disagreed"]) == ("kept", [0, 1])
    assert (kept["deployment"], kept["model"]) == ("shop", MODEL)
    (directive,) = kept["_aws"]["CloudWatchMetrics"]
    assert directive == {
        "Namespace": "Turnout",
        "Dimensions": [["deployment", "model", "of"]],
        "Metrics": [{"Name": "disagreed"}],
    }
    assert abs(kept["_aws"]["Timestamp"] / 1e3 - time.time()) < 600


def test_what_a_threshold_has_kept_moves_the_watch(deployed: Deployment) -> None:
    expected = watched(Watch(), CALIBRATED.baseline, [False, True])
    *_, kept = deployed.take(SAMPLE)
    assert deployed.watch() == expected
    assert kept["watch"] == expected.to_document(CALIBRATED.baseline)
    deployed.take(SAMPLE)
    assert deployed.watch() == watched(expected, CALIBRATED.baseline, [False, True])


def test_of_what_is_no_shadow_the_kept_answers_alone_are_counted(deployed: Deployment) -> None:
    deployed.gpu.body = answered("a")
    sample = replace(
        SAMPLE, inputs=("one",), outputs=SAMPLE.outputs[:1], kept=(True,), shadow=False
    )
    assert [line["of"] for line in deployed.take(sample)] == ["kept"]


@pytest.mark.parametrize("change", [{"calibrated": None}, {"kept": (False, False, False)}])
def test_a_shadow_without_a_kept_answer_moves_no_watch(
    deployed: Deployment, change: dict[str, Any]
) -> None:
    assert [line["of"] for line in deployed.take(replace(SAMPLE, **change))] == ["all"]
    assert deployed.dynamodb.scan(TableName=TABLE)["Count"] == 0


def test_a_watch_is_withdrawn_by_many_disagreements_and_stays_so(deployed: Deployment) -> None:
    deployed.gpu.body = answered("x", "x", "x")
    for _ in range(10):
        *_, kept = deployed.take(SAMPLE)
    assert kept["watch"]["withdrawn"] is True
    deployed.gpu.body = answered("a", "b", "c")
    *_, after = deployed.take(SAMPLE)
    assert after["watch"] == kept["watch"]


def test_a_new_calibration_begins_a_new_watch(deployed: Deployment) -> None:
    deployed.take(SAMPLE)
    deployed.take(replace(SAMPLE, calibrated=replace(CALIBRATED, digest="e" * 64)))
    assert deployed.watch().samples == 2
    assert deployed.dynamodb.scan(TableName=TABLE)["Count"] == 2


def test_more_answers_than_a_metric_has_values_are_several_lines(deployed: Deployment) -> None:
    deployed.gpu.body = answered(*["a"] * 250)
    many = replace(
        SAMPLE,
        inputs=("a",) * 250,
        outputs=({"label": "a"},) * 250,
        kept=(False,) * 250,
        calibrated=None,
    )
    assert [len(line["disagreed"]) for line in deployed.take(many)] == [100, 100, 50]


@pytest.mark.parametrize(
    ("version", "by"), [("5eeded000000", "canary"), ("0ld000000000", "released")]
)
def test_of_a_canary_each_request_counts_once_for_the_version_that_answered(
    deployed: Deployment, version: str, by: str
) -> None:
    lines = deployed.take(replace(SAMPLE, model=CANARY, version=version))
    of_requests = [line for line in lines if "contradicted" in line]
    assert [line["of"] for line in lines] == ["all", "all", "kept", "kept"]
    assert [line["contradicted"] for line in of_requests] == [pytest.approx(2 / 3), 0.5]
    for line in of_requests:
        assert (line["canary"], line["by"], line["model"]) == (SAMPLE.newest, by, CANARY)
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Dimensions"] == [["deployment", "model", "of", "canary", "by"]]


@pytest.mark.parametrize(
    ("service", "kind"),
    [
        (REFUSED, "ValidationError"),
        (model_error(500, SECRET), "ModelError"),
        (Service(body={"problem": problem_document(TooLarge(SECRET))}), "TooLarge"),
        (Service(body=SECRET.encode()), "MalformedRequest"),
        (Service(body=answered("a")), "ValueError"),
        (Service(body={"outputs": [{}] * 3, "version": "v", "elapsed_ms": 1}), "KeyError"),
    ],
    ids=["refused", "failed", "problem", "no JSON", "too few", "no label"],
)  # fmt: skip
def test_what_the_gpu_tier_does_not_answer_is_lost_and_its_kind_logged(
    deployed: Deployment, service: Service, kind: str
) -> None:
    deployed.gpu.status, deployed.gpu.body = service.status, service.body
    deployed.gpu.headers = service.headers
    assert deployed.take(SAMPLE) == [{"model": MODEL, "lost": kind}]
    # Once: it is not asked again.
    assert len(deployed.gpu.seen) == 1


@pytest.mark.parametrize(
    ("ago_s", "current", "asked"), [(10, 1, 1), (10, 0, 0), (FRESH_S + 60, 1, 0), (None, 1, 0)]
)
def test_a_tier_that_sleeps_is_asked_only_while_it_is_known_to_be_awake(
    deployed: Deployment, ago_s: float | None, current: int, asked: int
) -> None:
    if ago_s is not None:
        counts = CopyCounts(desired=current, current=current, status="InService")
        deployed.put(copies_key(GPU), time.time() - ago_s, counts.to_document())
    lines = deployed.take(replace(SAMPLE, sleeps=True))
    assert len(deployed.gpu.seen) == asked
    assert asked or lines == [{"model": MODEL, "lost": "Asleep"}]


@dataclass(slots=True)
class Busy:
    """A table that another sample writes to between each of our reads and writes, so many times."""

    deployed: Deployment
    times: int
    written: Watch = field(default_factory=Watch)

    def get_item(self, **arguments: Any) -> Any:
        return self.deployed.dynamodb.get_item(**arguments)

    def put_item(self, **arguments: Any) -> Any:
        if self.times:
            self.times -= 1
            self.written = watched(self.written, CALIBRATED.baseline, [False])
            document = self.written.to_document(CALIBRATED.baseline)
            self.deployed.put(KEY_OF_WATCH, time.time(), document)
        return self.deployed.dynamodb.put_item(**arguments)


def test_samples_that_meet_are_all_counted(deployed: Deployment) -> None:
    busy = Busy(deployed, times=3)
    deployed.take(SAMPLE, deployed.rows(busy))
    others = watched(Watch(), CALIBRATED.baseline, [False] * 3)
    assert deployed.watch() == watched(others, CALIBRATED.baseline, [False, True])
    assert len(deployed.pauses) == 3


def test_a_sample_that_is_always_overtaken_is_lost(deployed: Deployment) -> None:
    lines = deployed.take(SAMPLE, deployed.rows(Busy(deployed, times=1_000)))
    assert lines[-1] == {"model": MODEL, "lost": "Overtaken"}
    assert len(deployed.pauses) == TRIES


def test_without_its_table_a_sample_is_lost(deployed: Deployment) -> None:
    rows = replace(deployed.rows(), table="missing")
    assert deployed.take(SAMPLE, rows)[-1]["lost"] == "ResourceNotFoundException"


class NoWrites:
    """A table that may be read and not written."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def get_item(self, **arguments: Any) -> Any:
        return self.client.get_item(**arguments)

    def put_item(self, **arguments: Any) -> Any:
        return self.client.put_item(**{**arguments, "TableName": "missing"})


def test_a_write_that_fails_otherwise_is_not_tried_again(deployed: Deployment) -> None:
    lines = deployed.take(SAMPLE, deployed.rows(NoWrites(deployed.dynamodb)))
    assert lines[-1]["lost"] == "ResourceNotFoundException"
    assert deployed.pauses == []


def test_the_event_of_the_router_is_the_functions(
    deployed: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.handler.handler(json.loads(json.dumps(SAMPLE.to_wire())), None)
    every, kept = map(json.loads, capsys.readouterr().out.splitlines())
    assert (every["of"], kept["of"]) == ("all", "kept")
    assert deployed.watch().samples == 2


def test_an_event_of_another_form_is_refused(deployed: Deployment) -> None:
    with pytest.raises(KeyError):
        deployed.handler.handler({"probe": True}, None)
    assert deployed.gpu.seen == []
