"""The router as its image starts it: routes from its own folder, a registry in Systems Manager, slim imports."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from contracts.names import release_parameter
from contracts.tasks import Tier
from functions.router.targets.release_registry import ParameterRegistry
from tests.fixtures.fake_aws import put_release
from tests.fixtures.paths import ROOT
from tests.fixtures.router_app import ASSETS, ROUTES, event

FORBIDDEN = (
    "aws_cdk",
    "contracts.api",
    # It reads time zones, and the router reads no settings.
    "contracts.specs",
    "functions.inference",
    "functions.router.http.openapi",
    "onnxruntime",
    "optimum",
    "sagemaker",
    "tokenizers",
    "torch",
    "transformers",
)

CALLS = """
import json, sys
from functions.router.handler import handler
imported = sorted(sys.modules)
answers = [handler(event, None) for event in json.load(sys.stdin)]
print(json.dumps({"answers": answers, "modules": imported}))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("router")
    (folder / "routes.json").write_text(ROUTES.to_json(), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", CALLS],
        input=json.dumps([event("GET", "/health"), event("GET", "/v1/models", key=None)]),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TURNOUT_ROUTES": str(folder / "routes.json"),
            "TURNOUT_DOCS": str(ASSETS),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    *lines, last = done.stdout.splitlines()
    return {**json.loads(last), "lines": [json.loads(line) for line in lines]}


def test_the_handler_answers_with_the_routes_of_its_folder(ran: dict[str, Any]) -> None:
    assert [answer["statusCode"] for answer in ran["answers"]] == [200, 401]
    assert [(line["path"], line["status"]) for line in ran["lines"]] == [
        ("/health", 200),
        ("/v1/models", 401),
    ]


def test_nothing_is_imported_that_the_image_has_not_got_or_a_start_does_not_need(
    ran: dict[str, Any],
) -> None:
    assert [name for name in FORBIDDEN if name in ran["modules"]] == []
    assert "boto3" not in ran["modules"]


def test_routes_read_back_are_those_that_were_written(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    path.write_text(ROUTES.to_json(), "utf-8")
    assert type(ROUTES).read(path) == ROUTES


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
