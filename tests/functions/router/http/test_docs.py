"""The page that describes the API comes from the router alone, and describes what is deployed."""

import json
import re
from typing import Any

import openapi_spec_validator
import pytest
from jsonschema import Draft202012Validator

from contracts.api.registry import APIS
from contracts.tasks import Task, Tier
from tests.fixtures.router_app import ASSETS, PREDICT, Call, FakeTier, router


@pytest.fixture(scope="module")
def call() -> Call:
    return router({tier: FakeTier() for tier in Tier})


@pytest.fixture(scope="module")
def document(call: Call) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(call("GET", "/openapi.json", key=None)["body"])
    return loaded


def problems_of(document: dict[str, Any], schema: dict[str, Any], value: object) -> list[str]:
    """Return where the value is not what a schema of the document describes."""
    validator = Draft202012Validator({**schema, "components": document["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def test_the_page_loads_nothing_from_elsewhere(call: Call) -> None:
    page = call("GET", "/docs", key=None)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page["body"])
    assert sorted(loaded) == [
        "docs/assets/favicon-32x32.png",
        "docs/assets/swagger-ui-bundle.js",
        "docs/assets/swagger-ui.css",
        "docs/start.js",
    ]
    assert [call("GET", f"/{address}", key=None)["statusCode"] for address in loaded] == [200] * 4
    assert "default-src 'none'" in page["headers"]["content-security-policy"]


def test_only_the_named_assets_are_given_out(call: Call) -> None:
    others = [path.name for path in ASSETS.iterdir() if path.suffix in {".json", ".map", ".html"}]
    assert others
    assert {call("GET", f"/docs/assets/{name}", key=None)["statusCode"] for name in others} == {404}


def test_the_description_has_every_path_and_every_error(call: Call) -> None:
    document = json.loads(call("GET", "/openapi.json", key=None)["body"])
    assert {path: sorted(methods) for path, methods in document["paths"].items()} == {
        "/v1/models/{model}/predict": ["post"],
        "/v1/chat/completions": ["post"],
        "/v1/completions": ["post"],
        "/v1/embeddings": ["post"],
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
        "415",
        "422",
        "502",
        "503",
        "504",
    ]
    assert predict["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert "HTTPValidationError" not in json.dumps(document)
    assert call("GET", "/openapi.json", key=None)["body"] == json.dumps(
        document, separators=(",", ":"), ensure_ascii=False
    )


def test_the_examples_of_the_description_are_requests_that_are_answered(call: Call) -> None:
    document = json.loads(call("GET", "/openapi.json", key=None)["body"])
    content = document["paths"]["/v1/models/{model}/predict"]["post"]["requestBody"]["content"]
    examples = content["application/json"]["examples"]
    assert set(examples) == set(Task)
    for example in examples.values():
        answer = call("POST", "/v1/models/support-intent/predict", json.dumps(example["value"]))
        assert answer["statusCode"] == 200


@pytest.mark.slow
def test_the_description_is_valid_openapi(document: dict[str, Any]) -> None:
    openapi_spec_validator.validate(document)


@pytest.mark.parametrize("task", Task)
def test_every_task_has_a_request_and_an_answer_with_examples_that_are_valid(
    document: dict[str, Any], task: Task
) -> None:
    predict = document["paths"]["/v1/models/{model}/predict"]["post"]
    name = "".join(part.capitalize() for part in task.split("-"))
    body = predict["requestBody"]["content"]["application/json"]
    assert {"$ref": f"#/components/schemas/{name}Request"} in body["schema"]["anyOf"]
    request = body["examples"][task]["value"]
    assert problems_of(document, {"$ref": f"#/components/schemas/{name}Request"}, request) == []
    answers = predict["responses"]["200"]["content"]["application/json"]
    answer = answers["examples"][task]["value"]
    assert problems_of(document, answers["schema"], answer) == []
    for output in answer["outputs"]:
        assert problems_of(document, {"$ref": f"#/components/schemas/{name}Output"}, output) == []


def test_every_error_has_a_problem_document_as_its_example(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/models/{model}/predict"]["post"]["responses"]
    for status, response in responses.items():
        if status != "200":
            example = response["content"]["application/problem+json"]["example"]
            assert problems_of(document, {"$ref": "#/components/schemas/Problem"}, example) == []
            assert str(example["status"]) == status


@pytest.mark.parametrize("task", Task)
def test_every_parameter_of_a_task_is_described_with_its_default(
    document: dict[str, Any], task: Task
) -> None:
    name = "".join(part.capitalize() for part in task.split("-"))
    described = document["components"]["schemas"][f"{name}Request"]["properties"]["parameters"]
    assert set(described["properties"]) == {p.name for p in APIS[task].parameters}
    for parameter in APIS[task].parameters:
        shown = described["properties"][parameter.name]
        assert shown["description"]
        assert shown.get("default") == parameter.default


def test_what_the_router_answers_is_what_it_describes(document: dict[str, Any], call: Call) -> None:
    answered = {
        ("/v1/models", "get"): call("GET", "/v1/models"),
        ("/v1/models/{model}", "get"): call("GET", "/v1/models/support-intent"),
        ("/health", "get"): call("GET", "/health", key=None),
        ("/v1/models/{model}/predict", "post"): call("POST", PREDICT, '{"inputs": "a"}'),
    }
    for (path, method), response in answered.items():
        content = document["paths"][path][method]["responses"]["200"]["content"]
        schema = content["application/json"]["schema"]
        assert problems_of(document, schema, json.loads(response["body"])) == []
    refused = json.loads(call("POST", PREDICT, '{"inputs": 1}')["body"])
    assert problems_of(document, {"$ref": "#/components/schemas/Problem"}, refused) == []


def test_the_page_names_each_schema_once(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    titles = [schema["title"] for schema in schemas.values() if "title" in schema]
    assert {f"{task} {part}" for task in APIS for part in ("request", "output")} <= set(titles)
    assert len(titles) == len(set(titles))
