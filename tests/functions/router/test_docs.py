"""The page that describes the API comes whole from the router, and describes what is there."""

import json
import re

import pytest

from contracts.tasks import Task, Tier
from tests.fixtures.router_app import ASSETS, Ask, FakeTier, router


@pytest.fixture(scope="module")
def ask() -> Ask:
    return router({tier: FakeTier() for tier in Tier})


def test_the_page_loads_nothing_from_elsewhere(ask: Ask) -> None:
    page = ask("GET", "/docs", key=None)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page["body"])
    assert sorted(loaded) == [
        "docs/assets/favicon-32x32.png",
        "docs/assets/swagger-ui-bundle.js",
        "docs/assets/swagger-ui.css",
        "docs/start.js",
    ]
    assert [ask("GET", f"/{address}", key=None)["statusCode"] for address in loaded] == [200] * 4
    assert "default-src 'none'" in page["headers"]["content-security-policy"]


def test_only_the_named_assets_are_given_out(ask: Ask) -> None:
    others = [path.name for path in ASSETS.iterdir() if path.suffix in {".json", ".map", ".html"}]
    assert others
    assert {ask("GET", f"/docs/assets/{name}", key=None)["statusCode"] for name in others} == {404}


def test_the_description_has_every_path_and_every_error(ask: Ask) -> None:
    document = json.loads(ask("GET", "/openapi.json", key=None)["body"])
    assert {path: sorted(methods) for path, methods in document["paths"].items()} == {
        "/v1/models/{model}/predict": ["post"],
        "/v1/models": ["get"],
        "/v1/models/{model}": ["get"],
        "/health": ["get"],
    }
    predict = document["paths"]["/v1/models/{model}/predict"]["post"]
    assert sorted(predict["responses"]) == [
        "200",
        "400",
        "401",
        "404",
        "413",
        "422",
        "502",
        "503",
        "504",
    ]
    assert predict["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert "HTTPValidationError" not in json.dumps(document)
    assert ask("GET", "/openapi.json", key=None)["body"] == json.dumps(
        document, separators=(",", ":"), ensure_ascii=False
    )


def test_the_examples_of_the_description_are_requests_that_are_answered(ask: Ask) -> None:
    document = json.loads(ask("GET", "/openapi.json", key=None)["body"])
    content = document["paths"]["/v1/models/{model}/predict"]["post"]["requestBody"]["content"]
    examples = content["application/json"]["examples"]
    assert set(examples) <= set(Task)
    for example in examples.values():
        answer = ask("POST", "/v1/models/support-intent/predict", json.dumps(example["value"]))
        assert answer["statusCode"] == 200
