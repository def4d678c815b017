"""A custom domain in the router's stack: what it adds, and that nothing else changes."""

import json
from collections import Counter
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigatewayv2 as gateway

from contracts.specs import CpuSpec, Deployment, Domain, ModelSpec
from contracts.tasks import Task
from stacks.domains.domain import ApiStage, add_domain, urls
from stacks.image_source import PushedImage
from stacks.limits.throttle import Limits
from stacks.router import RouterStack
from stacks.rules.document import Document, Json
from tests.fixtures.synthesis import ACCOUNT, CERTIFICATE
from tests.stacks.mutants.checkers import by_cfn_lint, by_service_models

NAME, ZONE = "api.example.org", "Z0123456789ABCDEFGHIJ"
TARGET = {"Fn::GetAtt": ["Domain", "RegionalDomainName"]}
WHOLE = ApiStage(api_id="a", stage="$default", url="https://a.example")
STREAMED = ApiStage(api_id="b", stage="live", url="https://b.example/live")
# What a domain adds to a stack with both APIs.
ADDED = {
    "AWS::ApiGatewayV2::DomainName": 1,
    "AWS::ApiGatewayV2::ApiMapping": 2,
    "AWS::CertificateManager::Certificate": 1,
    "AWS::Route53::RecordSet": 1,
}
WRITER = ModelSpec(
    name="writer",
    source=Path("nowhere"),
    task=Task.TEXT_GENERATION,
    eval=Path("nowhere"),
    cpu=CpuSpec(),
)


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Json]:
    """Return a template for each way to name a domain, from one synthesis."""
    folder: Path = tmp_path_factory.mktemp("domains")
    app = cdk.App(outdir=str(folder))
    cases = {
        "made": (Domain(name=NAME, hosted_zone_id=ZONE), STREAMED),
        "both": (Domain(name=NAME, hosted_zone_id=ZONE, certificate_arn=CERTIFICATE), STREAMED),
        "given": (Domain(name=NAME, certificate_arn=CERTIFICATE), None),
    }
    for name, (domain, streamed) in cases.items():
        stack = cdk.Stack(app, name, synthesizer=cdk.LegacyStackSynthesizer())
        gateway.CfnApi(stack, "Api", name=name, protocol_type="HTTP")
        add_domain(stack, domain, WHOLE, streamed)
    app.synth()
    return {name: json.loads((folder / f"{name}.template.json").read_text()) for name in cases}


def properties(template: Json, kind: str) -> list[Json]:
    return [one["Properties"] for one in template["Resources"].values() if one["Type"] == kind]


@pytest.fixture(scope="module")
def routers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Json]:
    """Return the router's stack of a deployment that streams, without a domain and with one."""
    folder: Path = tmp_path_factory.mktemp("routers")
    (folder / "prober").mkdir()
    (folder / "prober/prober.py").touch()
    templates = {}
    for name, of in (("without", None), ("with", Domain(name=NAME, hosted_zone_id=ZONE))):
        # An app for each: ids are made of the names of all that a resource is within.
        app = cdk.App(outdir=str(folder / name))
        RouterStack(
            app,
            "shop-router",
            deployment=Deployment(name="shop", domain=of, models=(WRITER,)),
            throttle=Limits(rate=5, burst=9),
            image=PushedImage(
                account=ACCOUNT, region="us-east-1", repository="r", digest=f"sha256:{'b' * 64}"
            ),
            prober=folder / "prober",
            env=cdk.Environment(account=ACCOUNT, region="us-east-1"),
        )
        templates[name] = app.synth().get_stack_by_name("shop-router").template
    return templates


def variables(template: Json) -> dict[str, Json]:
    """Return the variables of each function that has some, by its name."""
    return {
        one["FunctionName"]: one["Environment"]["Variables"]
        for one in properties(template, "AWS::Lambda::Function")
        if "Environment" in one
    }


def test_a_domain_adds_to_a_stack_and_changes_the_routers_variables_alone(
    routers: dict[str, Json],
) -> None:
    without, found = routers["without"], routers["with"]
    added = found["Resources"].keys() - without["Resources"].keys()
    kinds = Counter(found["Resources"][name]["Type"] for name in added)
    # A function of other variables is another version.
    versions = kinds.pop("AWS::Lambda::Version")
    assert (kinds, versions) == (ADDED, 2)
    assert {one["Type"] for one in without["Resources"].values()} & ADDED.keys() == set()
    changed = {
        without["Resources"][name]["Type"]
        for name, one in without["Resources"].items()
        if name in found["Resources"] and found["Resources"][name] != one
    }
    assert changed == {"AWS::Lambda::Function", "AWS::Lambda::Alias"}
    # The URLs of API Gateway's own stay outputs, and reachable.
    more = {"DomainUrl": f"https://{NAME}", "DomainStreamUrl": f"https://{NAME}/stream"}
    outputs = {name: one["Value"] for name, one in found["Outputs"].items()}
    assert outputs == {**{n: one["Value"] for n, one in without["Outputs"].items()}, **more}
    assert "DisableExecuteApiEndpoint" not in properties(found, "AWS::ApiGatewayV2::Api")[0]
    shown = {"TURNOUT_URL": more["DomainUrl"], "TURNOUT_STREAM_URL": more["DomainStreamUrl"]}
    assert variables(found) == {"shop-router": shown, "shop-router-stream": shown}
    assert variables(without)["shop-router"]["TURNOUT_URL"] == outputs["Url"]


def test_a_name_is_in_front_of_both_apis_of_a_deployment(routers: dict[str, Json]) -> None:
    resources = routers["with"]["Resources"]
    ids = {
        one["Type"]: name
        for name, one in resources.items()
        if one["Type"].endswith(("::Api", "::RestApi", "::Stage"))
    }
    mappings = properties(routers["with"], "AWS::ApiGatewayV2::ApiMapping")
    assert mappings == [
        {
            "ApiId": {"Ref": ids["AWS::ApiGatewayV2::Api"]},
            "Stage": {"Ref": ids["AWS::ApiGatewayV2::Stage"]},
            "DomainName": {"Ref": "Domain"},
        },
        {
            "ApiId": {"Ref": ids["AWS::ApiGateway::RestApi"]},
            "Stage": {"Ref": ids["AWS::ApiGateway::Stage"]},
            "DomainName": {"Ref": "Domain"},
            "ApiMappingKey": "stream",
        },
    ]


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
        assert domain["DomainNameConfigurations"][0]["CertificateArn"] == CERTIFICATE
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
