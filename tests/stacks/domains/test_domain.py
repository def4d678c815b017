"""A custom domain in the router's stack: what it adds, and that nothing else changes."""

import json
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigatewayv2 as gateway

from contracts.specs import Domain
from stacks.domains.domain import Front, add_domain, urls
from stacks.rules.document import Document, Json
from tests.fixtures.synthesis import of_settings, shop
from tests.stacks.mutants.checkers import by_cfn_lint, by_service_models
from tests.stacks.mutants.mutation import SETTINGS

NAME, ZONE = "api.example.org", "Z0123456789ABCDEFGHIJ"
ARN = "arn:aws:acm:us-east-1:123456789012:certificate/1b2c"
TARGET = {"Fn::GetAtt": ["Domain", "RegionalDomainName"]}
WHOLE = Front(api_id="a", stage="$default", url="https://a.example")
STREAMED = Front(api_id="b", stage="live", url="https://b.example/live")
# The types that a domain adds.
ADDED = {
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::CertificateManager::Certificate",
    "AWS::Route53::RecordSet",
}


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Json]:
    """Return a template for each way to name a domain, from one synthesis."""
    folder: Path = tmp_path_factory.mktemp("domains")
    app = cdk.App(outdir=str(folder))
    cases = {
        "made": (Domain(name=NAME, hosted_zone_id=ZONE), STREAMED),
        "both": (Domain(name=NAME, hosted_zone_id=ZONE, certificate_arn=ARN), STREAMED),
        "given": (Domain(name=NAME, certificate_arn=ARN), None),
    }
    for name, (domain, streamed) in cases.items():
        stack = cdk.Stack(app, name, synthesizer=cdk.LegacyStackSynthesizer())
        gateway.CfnApi(stack, "Api", name=name, protocol_type="HTTP")
        add_domain(stack, domain, WHOLE, streamed)
    app.synth()
    return {name: json.loads((folder / f"{name}.template.json").read_text()) for name in cases}


def properties(template: Json, kind: str) -> list[Json]:
    return [one["Properties"] for one in template["Resources"].values() if one["Type"] == kind]


def test_a_deployment_without_a_domain_has_nothing_of_it() -> None:
    found = shop()
    assert not any(found.everywhere(kind) for kind in ADDED)
    assert [name for name in found.templates["shop-router"]["Outputs"] if name != "Url"] == []
    variables = [
        name
        for function in found.everywhere("AWS::Lambda::Function")
        for name in function["Properties"].get("Environment", {}).get("Variables", {})
    ]
    assert {"TURNOUT_URL", "TURNOUT_STREAM_URL"} & set(variables) == set()


def test_a_name_is_in_front_of_both_apis_of_a_deployment() -> None:
    found = of_settings(SETTINGS)
    (router,) = (
        stack for stack in found.templates if found.resources(stack, "AWS::Route53::RecordSet")
    )
    (http_api,) = found.resources(router, "AWS::ApiGatewayV2::Api")
    (rest_api,) = found.resources(router, "AWS::ApiGateway::RestApi")
    (http_stage,) = found.resources(router, "AWS::ApiGatewayV2::Stage")
    (rest_stage,) = found.resources(router, "AWS::ApiGateway::Stage")
    mappings = properties(found.templates[router], "AWS::ApiGatewayV2::ApiMapping")
    name = {"DomainName": {"Ref": "Domain"}}
    assert mappings == [
        {"ApiId": {"Ref": http_api}, "Stage": {"Ref": http_stage}, **name},
        {
            "ApiId": {"Ref": rest_api},
            "Stage": {"Ref": rest_stage},
            "ApiMappingKey": "stream",
            **name,
        },
    ]
    outputs = {key: one["Value"] for key, one in found.templates[router]["Outputs"].items()}
    # The URLs of API Gateway's own stay outputs, and reachable.
    assert outputs["Url"] == {"Fn::GetAtt": [http_api, "ApiEndpoint"]}
    assert {"Ref": rest_api} in outputs["StreamUrl"]["Fn::Join"][1]
    assert (outputs["DomainUrl"], outputs["DomainStreamUrl"]) == (
        f"https://{NAME}",
        f"https://{NAME}/stream",
    )
    api = found.only(router, "AWS::ApiGatewayV2::Api")["Properties"]
    assert "DisableExecuteApiEndpoint" not in api
    variables = [
        one["Properties"]["Environment"]["Variables"]
        for one in found.resources(router, "AWS::Lambda::Function").values()
        if "TURNOUT_URL" in one["Properties"].get("Environment", {}).get("Variables", {})
    ]
    shown = {"TURNOUT_URL": f"https://{NAME}", "TURNOUT_STREAM_URL": f"https://{NAME}/stream"}
    assert variables == [shown, shown]


def test_a_certificate_is_made_and_validated_in_the_zone(templates: dict[str, Json]) -> None:
    made = templates["made"]
    (certificate,) = properties(made, "AWS::CertificateManager::Certificate")
    assert certificate == {
        "DomainName": NAME,
        "ValidationMethod": "DNS",
        "DomainValidationOptions": [{"DomainName": NAME, "HostedZoneId": ZONE}],
    }
    (domain,) = properties(made, "AWS::ApiGatewayV2::DomainName")
    assert domain == {
        "DomainName": NAME,
        "DomainNameConfigurations": [
            {
                "CertificateArn": {"Ref": "Certificate"},
                "EndpointType": "REGIONAL",
                "SecurityPolicy": "TLS_1_2",
            }
        ],
    }
    (record,) = properties(made, "AWS::Route53::RecordSet")
    assert record == {
        "HostedZoneId": ZONE,
        "Name": f"{NAME}.",
        "Type": "A",
        "AliasTarget": {
            "DNSName": TARGET,
            "HostedZoneId": {"Fn::GetAtt": ["Domain", "RegionalHostedZoneId"]},
            "EvaluateTargetHealth": False,
        },
    }
    assert "DomainTarget" not in made["Outputs"]


def test_a_certificate_that_is_given_is_used_and_none_is_made(templates: dict[str, Json]) -> None:
    for name, records in (("both", 1), ("given", 0)):
        template = templates[name]
        (domain,) = properties(template, "AWS::ApiGatewayV2::DomainName")
        assert domain["DomainNameConfigurations"][0]["CertificateArn"] == ARN
        assert properties(template, "AWS::CertificateManager::Certificate") == []
        assert len(properties(template, "AWS::Route53::RecordSet")) == records


def test_without_a_zone_the_stack_says_which_record_to_create(templates: dict[str, Json]) -> None:
    outputs = templates["given"]["Outputs"]
    assert outputs["DomainTarget"]["Value"] == TARGET
    assert f"CNAME record of {NAME}" in outputs["DomainTarget"]["Description"]
    # No model writes here.
    assert set(outputs) == {"DomainUrl", "DomainTarget"}


def test_services_take_each_form_of_a_domain(templates: dict[str, Json]) -> None:
    for name, template in templates.items():
        stack = Document(name=name, template=template, images={})
        assert by_service_models(stack) | by_cfn_lint(stack, "us-east-1") == set()


def test_the_router_names_the_domains_urls_and_else_its_own_two() -> None:
    domain = Domain(name=NAME, hosted_zone_id=ZONE)
    assert urls(None, WHOLE, None) == {}
    assert urls(None, WHOLE, STREAMED) == {
        "TURNOUT_URL": WHOLE.url,
        "TURNOUT_STREAM_URL": STREAMED.url,
    }
    assert urls(domain, WHOLE, None) == {"TURNOUT_URL": domain.url}
    assert urls(domain, WHOLE, STREAMED) == {
        "TURNOUT_URL": domain.url,
        "TURNOUT_STREAM_URL": domain.stream_url,
    }
