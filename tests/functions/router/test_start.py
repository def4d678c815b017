"""The router as its image starts it: routes from its own folder, a registry in Systems Manager, slim imports."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import boto3
import pytest

from contracts.names import release_parameter
from contracts.states.rows import CopyCounts, Row, copies_key
from contracts.tasks import Tier
from functions.router.targets.release_registry import ParameterRegistry
from tests.fixtures.fake_aws import put_release
from tests.fixtures.paths import ROOT
from tests.fixtures.router_app import ASSETS, PREDICT, ROUTES, event
from tests.functions.router.answering.scripted import ANSWERS, Step, running

# The modules of libraries and of ours that a start may import, which takes most of its time: a release or a line of
# code that needs more of them shows here before it shows in a cold start.
BUDGET = 160
# For the first request that needs them: clients of AWS, the thread that waits for a tier, the API's document.
LATER = (
    "anyio._backends",
    "botocore.client",
    "botocore.credentials",
    "botocore.session",
    "contracts.api.registry",
    "fastapi",
    "functions.router.http.openapi",
    "jmespath",
    "pydantic",
)
NEVER = (
    # It reads time zones, and the router reads no settings.
    "contracts.specs",
    "functions.inference",
    "multiprocessing",
    "pydantic.dataclasses",
    "pydantic.v1",
    "unittest",
)

CALLS = """
import json, sys
from functions.router.handler import handler
started = sorted(sys.modules)
answers = [handler(event, None) for event in json.load(sys.stdin)]
print(json.dumps({"answers": answers, "started": started, "modules": sorted(sys.modules)}))
"""


def locked() -> set[str]:
    """Return the modules and folders of the packages that the router's image holds."""
    lock = (ROOT / "functions/router/requirements.txt").read_text("utf-8")
    found: set[str] = set()
    for name in re.findall(r"^([\w-]+)==", lock, re.MULTILINE):
        found |= {path.parts[0] for path in metadata.distribution(name).files or ()}
    # Commands lie elsewhere.
    return found - {"..", "__pycache__"}


def image_of(folder: Path) -> Path:
    """Link what the image holds into a folder: some libraries import others if they find them."""
    folder.mkdir()
    installed = Path(sysconfig.get_path("purelib"))
    for path in [ROOT / "contracts", ROOT / "functions", *map(installed.joinpath, locked())]:
        (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("router")
    (folder / "routes.json").write_text(ROUTES.to_json(), "utf-8")
    predict = event("POST", PREDICT, '{"inputs": ["a text"]}')
    with running(ANSWERS) as tier:
        done = subprocess.run(
            [sys.executable, "-S", "-c", CALLS],
            input=json.dumps(
                [event("GET", "/health"), event("GET", "/v1/models", key=None), predict]
            ),
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(image_of(folder / "image")),
                "TURNOUT_ROUTES": str(folder / "routes.json"),
                "TURNOUT_DOCS": str(ASSETS),
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "none",
                "AWS_SECRET_ACCESS_KEY": "none",
                "AWS_ENDPOINT_URL": tier.address,
            },
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    *lines, last = done.stdout.splitlines()
    return {**json.loads(last), "lines": [json.loads(line) for line in lines]}


@pytest.mark.slow
def test_the_handler_answers_with_the_routes_of_its_folder(ran: dict[str, Any]) -> None:
    assert [answer["statusCode"] for answer in ran["answers"]] == [200, 401, 200]
    assert [(line["path"], line["status"]) for line in ran["lines"]] == [
        ("/health", 200),
        ("/v1/models", 401),
        (PREDICT, 200),
    ]


def test_a_start_imports_no_more_than_its_budget(ran: dict[str, Any]) -> None:
    libraries = {name.removesuffix(".py") for name in locked()}
    counted = Counter(
        top
        for name in ran["started"]
        if (top := name.partition(".")[0]) in {"contracts", "functions", *libraries}
    )
    # Were packages not found by their names, there would be nothing to count.
    assert {"botocore", "contracts", "functions", "mangum", "starlette"} <= set(counted)
    assert counted.total() <= BUDGET, counted


def test_nothing_is_imported_before_a_request_needs_it(ran: dict[str, Any]) -> None:
    assert [name for name in (*LATER, *NEVER) if name in ran["started"]] == []


def test_a_request_to_a_tier_imports_its_client_alone(ran: dict[str, Any]) -> None:
    assert "botocore.client" in ran["modules"]
    assert [name for name in NEVER if name in ran["modules"]] == []


UNTIL_IT_SLEEPS = """
import json, sys, time
from functions.router.handler import handler
event, state, deadline = json.load(sys.stdin), "", time.monotonic() + 120
while state != "asleep" and time.monotonic() < deadline:
    body = json.loads(handler(event, None)["body"])
    (state,) = (tier["state"] for tier in body["tiers"] if tier["tier"] == "gpu")
    time.sleep(0.01)
print(state)
"""


@pytest.mark.slow
def test_a_start_reads_the_rows_of_gpu_tiers_where_there_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "routes.json").write_text(replace(ROUTES, states="shop-states").to_json(), "utf-8")
    now = time.time()
    address = ROUTES.models["support-intent"].targets[Tier.GPU].address
    copies = CopyCounts(desired=0, current=0, status="InService").to_document()
    row = Row(key=copies_key(address), written_at=now, expires_at=now + 600, document=copies)
    with running(Step(body={"Responses": {"shop-states": [row.to_item()]}})) as table:
        done = subprocess.run(
            [sys.executable, "-c", UNTIL_IT_SLEEPS],
            input=json.dumps(event("GET", "/v1/models/support-intent")),
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "TURNOUT_ROUTES": str(tmp_path / "routes.json"),
                "TURNOUT_DOCS": str(ASSETS),
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "none",
                "AWS_SECRET_ACCESS_KEY": "none",
                "AWS_ENDPOINT_URL": table.address,
            },
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.splitlines()[-1] == "asleep"
    assert [list(body["RequestItems"]) for body in table.seen if "RequestItems" in body][:1] == [
        ["shop-states"]
    ]


def test_routes_read_back_are_those_that_were_written(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    path.write_text(ROUTES.to_json(), "utf-8")
    assert type(ROUTES).read(path) == ROUTES


@pytest.mark.slow
def test_the_registry_gives_the_rows_of_one_model() -> None:
    from moto import mock_aws

    with mock_aws():
        for model, tier, version in (("a", "cpu", "1"), ("a", "gpu", "2"), ("b", "cpu", "3")):
            put_release(release_parameter("shop", model, Tier(tier)), tier=tier, version=version)
        registry = ParameterRegistry("/turnout/shop", lambda: boto3.client("ssm", "us-east-1"))
        rows = sorted(registry.releases("a"), key=lambda row: str(row["tier"]))
        assert [row.pop("deployed_at") > 1.79e9 for row in rows] == [True, True]
        assert rows == [{"tier": "cpu", "version": "1"}, {"tier": "gpu", "version": "2"}]
        assert registry.releases("none") == []
