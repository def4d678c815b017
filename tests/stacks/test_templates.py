"""Properties of the templates that cost money, open doors or break deployments."""

import json
import re

import pytest

from contracts.keys import key_hash
from contracts.limits import INTEGRATION_TIMEOUT_S, ROUTER_TIMEOUT_S
from contracts.names import ALIAS
from stacks.router import ACCESS_LOG
from tests.fixtures.models.tiny import LABELS
from tests.fixtures.synthesis import INTENTS, KEY, ORIGIN, Synthesised, shop

STACKS = [
    "shop-intents-cpu",
    "shop-intents-gpu",
    "shop-router",
    "shop-states",
    "shop-words-cpu",
]
# What a deployment may leave nowhere: everything else in the templates is free while it is not used.
KEPT = {"Retain", "RetainExceptOnCreate", "Snapshot"}


@pytest.fixture(scope="module")
def stacks() -> Synthesised:
    return shop()


def test_the_router_the_shared_states_and_each_tier_have_a_stack(stacks: Synthesised) -> None:
    assert sorted(stacks.templates) == STACKS


def test_every_stack_has_the_tag_of_its_deployment(stacks: Synthesised) -> None:
    manifest = json.loads((stacks.folder / "manifest.json").read_text("utf-8"))
    tags = [
        artifact["properties"]["tags"]
        for artifact in manifest["artifacts"].values()
        if artifact["type"] == "aws:cloudformation:stack"
    ]
    assert tags == [{"turnout": "shop"}] * 5


def test_a_deployment_without_a_domain_has_nothing_of_one(stacks: Synthesised) -> None:
    kinds = ("DomainName", "ApiMapping", "Certificate", "RecordSet")
    found = {r["Type"] for t in stacks.templates.values() for r in t["Resources"].values()}
    assert [kind for kind in found if kind.endswith(kinds)] == []
    # Of one URL alone the router names none.
    assert list(stacks.templates["shop-router"]["Outputs"]) == ["Url"]
    assert "TURNOUT_URL" not in json.dumps(stacks.templates)


def test_no_stack_exports_or_imports_anything(stacks: Synthesised) -> None:
    text = json.dumps(stacks.templates)
    assert "Fn::ImportValue" not in text
    assert "Export" not in {
        key for t in stacks.templates.values() for o in t.get("Outputs", {}).values() for key in o
    }


def test_every_tier_waits_for_the_router_and_a_gpu_for_every_cpu(stacks: Synthesised) -> None:
    manifest = json.loads((stacks.folder / "manifest.json").read_text("utf-8"))
    waits = {
        name: [other for other in artifact["dependencies"] if not other.endswith(".assets")]
        for name, artifact in manifest["artifacts"].items()
        if artifact["type"] == "aws:cloudformation:stack"
    }
    cpu = ["shop-intents-cpu", "shop-words-cpu"]
    assert {name: sorted(others) for name, others in waits.items()} == {
        "shop-router": [],
        **{name: ["shop-router"] for name in cpu},
        "shop-states": ["shop-router"],
        "shop-intents-gpu": sorted([*cpu, "shop-router", "shop-states"]),
    }


def test_a_gpus_quota_is_named_before_aws_may_refuse_it(stacks: Synthesised) -> None:
    """The command line prints it at each synthesis and deployment."""
    said = {
        path.name.removesuffix(".metadata.json"): entry["data"]
        for path in stacks.folder.glob("*.metadata.json")
        for entries in json.loads(path.read_text("utf-8")).values()
        for entry in entries
        if entry["type"] == "aws:cdk:info"
    }
    assert set(said) == {"shop-intents-gpu"}
    (note,) = said.values()
    assert 'a quota of 2 for "ml.g6.xlarge for endpoint usage" in us-east-1' in note
    assert "https://us-east-1.console.aws.amazon.com/servicequotas/" in note


def test_a_cpu_function_has_the_settings_of_its_table(stacks: Synthesised) -> None:
    properties = stacks.only("shop-intents-cpu", "AWS::Lambda::Function")["Properties"]
    assert (properties["MemorySize"], properties["Timeout"]) == (2048, 7)
    assert properties["Environment"] == {"Variables": {"TURNOUT_MAX_INPUTS": "16"}}
    assert (properties["FunctionName"], properties["PackageType"]) == ("shop-intents-cpu", "Image")
    assert properties["Architectures"] == ["x86_64"]


def test_every_image_is_built_for_one_named_platform(stacks: Synthesised) -> None:
    images = [
        image for assets in stacks.assets.values() for image in assets["dockerImages"].values()
    ]
    assert [image["source"]["platform"] for image in images] == ["linux/amd64"] * 4


def test_what_may_be_invoked_is_the_alias_of_a_version(stacks: Synthesised) -> None:
    for stack in ("shop-intents-cpu", "shop-router"):
        alias = stacks.only(stack, "AWS::Lambda::Alias")["Properties"]
        (version,) = stacks.resources(stack, "AWS::Lambda::Version")
        assert alias["Name"] == ALIAS
        assert alias["FunctionVersion"] == {"Fn::GetAtt": [version, "Version"]}
    integration = stacks.only("shop-router", "AWS::ApiGatewayV2::Integration")["Properties"]
    (live,) = stacks.resources("shop-router", "AWS::Lambda::Alias")
    assert integration["IntegrationUri"] == {"Ref": live}


def test_timeouts_nest_below_the_gateways(stacks: Synthesised) -> None:
    integration = stacks.only("shop-router", "AWS::ApiGatewayV2::Integration")["Properties"]
    functions = stacks.resources("shop-router", "AWS::Lambda::Function").values()
    (router,) = (
        f["Properties"]["Timeout"]
        for f in functions
        if f["Properties"]["FunctionName"] == "shop-router"
    )
    tiers = [
        stacks.only(s, "AWS::Lambda::Function")["Properties"]["Timeout"]
        for s in ("shop-intents-cpu", "shop-words-cpu")
    ]
    assert integration["TimeoutInMillis"] == INTEGRATION_TIMEOUT_S * 1000
    assert max(tiers) < router == ROUTER_TIMEOUT_S < INTEGRATION_TIMEOUT_S < 30


def test_the_stage_is_throttled_and_logged_as_configured(stacks: Synthesised) -> None:
    stage = stacks.only("shop-router", "AWS::ApiGatewayV2::Stage")["Properties"]
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": 5, "ThrottlingBurstLimit": 9}
    (log,) = (
        name
        for name, group in stacks.resources("shop-router", "AWS::Logs::LogGroup").items()
        if group["Properties"].get("LogGroupName") == "/aws/vendedlogs/apis/shop-router"
    )
    settings = stage["AccessLogSettings"]
    assert settings["DestinationArn"] == {"Fn::GetAtt": [log, "Arn"]}
    assert json.loads(settings["Format"]) == ACCESS_LOG


def test_sagemakers_create_only_resources_have_no_names(stacks: Synthesised) -> None:
    model = stacks.only("shop-intents-gpu", "AWS::SageMaker::Model")["Properties"]
    config = stacks.only("shop-intents-gpu", "AWS::SageMaker::EndpointConfig")["Properties"]
    assert "ModelName" not in model
    assert "EndpointConfigName" not in config


def test_a_gpu_tier_is_an_inference_component_on_an_image_of_its_cuda(stacks: Synthesised) -> None:
    stack = "shop-intents-gpu"
    config = stacks.only(stack, "AWS::SageMaker::EndpointConfig")["Properties"]
    (variant,) = config["ProductionVariants"]
    component = stacks.only(stack, "AWS::SageMaker::InferenceComponent")["Properties"]
    model = stacks.only(stack, "AWS::SageMaker::Model")["Properties"]
    assert (variant["InstanceType"], variant["InferenceAmiVersion"]) == (
        "ml.g6.xlarge",
        "al2023-ami-sagemaker-inference-gpu-4-1",
    )
    assert "ModelName" not in variant  # an endpoint of components has no model of its own
    assert config["ExecutionRoleArn"] == model["ExecutionRoleArn"]
    assert component["Specification"]["ModelName"] == {"Fn::GetAtt": ["Model", "ModelName"]}
    assert component["InferenceComponentName"] == "shop-intents-gpu-g6-xl"
    assert component["Specification"]["ComputeResourceRequirements"] == {
        "NumberOfAcceleratorDevicesRequired": 1,
        "MinMemoryRequiredInMb": 4096,
    }
    assert model["PrimaryContainer"]["Environment"] == {
        "TURNOUT_DEVICE": "cuda",
        "TURNOUT_MAX_INPUTS": "200",
        "TURNOUT_TIMEOUT_S": "25",
    }


def test_every_log_expires_and_goes_with_its_stack(stacks: Synthesised) -> None:
    groups = stacks.everywhere("AWS::Logs::LogGroup")
    assert {(g["Properties"]["RetentionInDays"], g["DeletionPolicy"]) for g in groups} == {
        (30, "Delete")
    }
    functions = stacks.everywhere("AWS::Lambda::Function")
    assert all("LogGroup" in f["Properties"]["LoggingConfig"] for f in functions)
    names = [
        g["Properties"].get("LogGroupName")
        for g in stacks.resources("shop-intents-gpu", "AWS::Logs::LogGroup").values()
    ]
    assert names == [
        "/aws/sagemaker/Endpoints/shop-intents-gpu-g6-xl",
        "/aws/sagemaker/InferenceComponents/shop-intents-gpu-g6-xl",
    ]


def test_destroying_leaves_nothing_that_is_paid_for(stacks: Synthesised) -> None:
    everything = [r for t in stacks.templates.values() for r in t["Resources"].values()]
    policies = ("DeletionPolicy", "UpdateReplacePolicy")
    kept = {r["Type"] for r in everything for name in policies if r.get(name) in KEPT}
    # It is a question, of which nothing is left.
    assert kept == {"Custom::TurnoutProbe"}


def test_assets_are_known_for_the_deployments_in_what_the_account_shares(
    stacks: Synthesised,
) -> None:
    def places(kind: str, key: str) -> list[str]:
        entries = [one for assets in stacks.assets.values() for one in assets[kind].values()]
        return [place[key] for one in entries for place in one["destinations"].values()]

    tags, keys = places("dockerImages", "imageTag"), places("files", "objectKey")
    assert len(tags) == 4
    assert all(re.fullmatch(r"turnout-shop_[0-9a-f]{64}", tag) for tag in tags)
    # Each stack's template, and the code of the prober and of the observer.
    assert len(keys) == 7
    assert all(key.startswith("turnout/shop/") for key in keys)


def test_each_stack_writes_its_own_release_once_it_serves(stacks: Synthesised) -> None:
    release = stacks.only("shop-intents-gpu", "AWS::SSM::Parameter")
    assert release["DependsOn"] == ["InferenceComponentG6Xlarge"]
    assert release["Properties"]["Name"] == "/turnout/shop/intents/gpu"
    facts = json.loads(release["Properties"]["Value"])
    assert facts.pop("digest").startswith(facts.pop("version"))
    assert facts.pop("size") > 0
    assert facts == {
        "tier": "gpu",
        "precision": "fp32",
        "task": "text-classification",
        "address": "shop-intents-gpu-g6-xl",
    }


def test_a_function_answers_its_probe_before_it_is_a_release(stacks: Synthesised) -> None:
    stack = "shop-intents-cpu"
    (live,) = stacks.resources(stack, "AWS::Lambda::Alias")
    ((name, probe),) = stacks.resources(stack, "Custom::TurnoutProbe").items()
    release = stacks.only(stack, "AWS::SSM::Parameter")
    assert (probe["DependsOn"], release["DependsOn"]) == ([live], [name])
    properties = probe["Properties"]
    prober = "arn:aws:lambda:us-east-1:123456789012:function:shop-prober"
    assert (properties["ServiceToken"], int(properties["ServiceTimeout"])) == (prober, 120)
    assert properties["Release"] == release["Properties"]["Name"]
    facts = json.loads(release["Properties"]["Value"])
    assert (properties["Address"], properties["Version"]) == (facts["address"], facts["version"])
    # The GPU's container is in service only once it has answered its own.
    assert stacks.resources("shop-intents-gpu", "Custom::TurnoutProbe") == {}


def test_the_router_answers_preflights_and_the_gateway_leaves_them_to_it(
    stacks: Synthesised,
) -> None:
    api = stacks.only("shop-router", "AWS::ApiGatewayV2::Api")["Properties"]
    # With it, the gateway would drop the headers of the router.
    assert "CorsConfiguration" not in api
    routes = stacks.resources("shop-router", "AWS::ApiGatewayV2::Route").values()
    assert [route["Properties"]["RouteKey"] for route in routes] == ["$default"]


def test_the_routers_image_holds_the_routes_and_only_the_hash_of_a_key(stacks: Synthesised) -> None:
    routes = [
        json.loads(path.read_text("utf-8")) for path in stacks.folder.glob("asset.*/routes.json")
    ]
    (document,) = routes
    assert document["key_hashes"] == {"ci": key_hash(KEY)}
    assert document["cors_origins"] == [ORIGIN]
    target = document["models"]["intents"]["targets"]["cpu"]
    limits = (target["timeout_s"], target["max_inputs"])
    assert (target["address"], *limits) == (f"shop-intents-cpu:{ALIAS}", 7, 16)
    assert document["models"]["intents"]["labels"] == list(LABELS)
    assert document["models"]["words"]["dimensions"] == 4
    files = [path for path in stacks.folder.rglob("*") if path.is_file()]
    assert [path.name for path in files if KEY.encode() in path.read_bytes()] == []
    assert INTENTS.gpu is not None
    assert document["models"]["intents"]["targets"]["gpu"]["max_inputs"] == INTENTS.gpu.max_inputs
