"""A custom domain of the local cloud: the API that a path goes to, and what API Gateway refuses of a name."""

from collections.abc import Iterator
from typing import Any

import aws_cdk as cdk
import boto3
import pytest
from aws_cdk import aws_apigatewayv2 as gateway
from moto import mock_aws

from contracts.specs import Domain
from local.control.domains.given import provide
from local.control.domains.mapping import Mapped, is_custom, mapped
from local.control.moto_extension import extend
from stacks.domains.domain import ApiStage, add_domain
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.synthesis import CERTIFICATE

NAME, ZONE = "api.example.org", "Z0123456789ABCDEFGHIJ"


@pytest.fixture
def apis() -> Iterator[tuple[Any, str, str]]:
    """Yield a client with a name, and the ids of an HTTP API and of a REST API that nothing leads to yet."""
    extend()
    with mock_aws():
        client = boto3.client("apigatewayv2", region_name="us-east-1")
        whole = client.create_api(Name="a", ProtocolType="HTTP")["ApiId"]
        rest = boto3.client("apigateway", region_name="us-east-1").create_rest_api(name="b")["id"]
        client.create_domain_name(DomainName=NAME)
        yield client, whole, rest


def test_the_longest_base_path_decides_of_whole_segments(apis: tuple[Any, str, str]) -> None:
    client, whole, rest = apis
    client.create_api_mapping(DomainName=NAME, ApiId=whole, Stage="$default", ApiMappingKey="")
    client.create_api_mapping(DomainName=NAME, ApiId=rest, Stage="live", ApiMappingKey="stream")
    for path, expected in {
        "/v1/models": Mapped(api_id=whole, stage="$default", path="/v1/models"),
        "/": Mapped(api_id=whole, stage="$default", path="/"),
        "/streams": Mapped(api_id=whole, stage="$default", path="/streams"),
        "/stream": Mapped(api_id=rest, stage="live", path="/"),
        "/stream/v1/models": Mapped(api_id=rest, stage="live", path="/v1/models"),
    }.items():
        assert mapped(f"{NAME.upper()}:8443", path) == expected


def test_another_host_is_no_domain_and_a_domain_of_no_api_leads_nowhere(
    apis: tuple[Any, str, str],
) -> None:
    assert mapped("localhost:8443", "/") is None
    assert (is_custom(NAME), is_custom(f"www.{NAME}")) == (True, False)
    assert mapped(NAME, "/") == Mapped()


def stack(**domain: Any) -> dict[str, Any]:
    """Return the resources of a name with a certificate."""
    configuration = {"EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2", **domain}
    properties = {"DomainName": NAME, "DomainNameConfigurations": [configuration]}
    return {"Name": {"Type": "AWS::ApiGatewayV2::DomainName", "Properties": properties}}


def test_an_api_that_a_name_leads_to_is_not_deleted(apis: tuple[Any, str, str]) -> None:
    client, whole, rest = apis
    rests = boto3.client("apigateway", region_name="us-east-1")
    made = [
        client.create_api_mapping(DomainName=NAME, ApiId=api, Stage=stage, ApiMappingKey=key)
        for api, stage, key in ((whole, "$default", ""), (rest, "live", "stream"))
    ]
    with pytest.raises(client.exceptions.BadRequestException, match="remove all API mappings"):
        client.delete_api(ApiId=whole)
    with pytest.raises(rests.exceptions.BadRequestException, match="remove all base path mappings"):
        rests.delete_rest_api(restApiId=rest)
    for one in made:
        client.delete_api_mapping(DomainName=NAME, ApiMappingId=one["ApiMappingId"])
    client.delete_api(ApiId=whole)
    rests.delete_rest_api(restApiId=rest)
    assert client.get_apis()["Items"] == rests.get_rest_apis()["items"] == []


def test_a_stack_with_a_domain_goes_in_the_order_that_api_gateway_wants(
    local_cloud: LocalCloudClient,
) -> None:
    zone = "Z9876543210ABCDEFGHIJ"
    provide(Domain(name=f"gone.{NAME}", hosted_zone_id=zone), local_cloud.cloud.region)
    app = cdk.App()
    made = cdk.Stack(app, "gone", synthesizer=cdk.LegacyStackSynthesizer())
    api = gateway.CfnApi(made, "Api", name="gone", protocol_type="HTTP")
    stage = gateway.CfnStage(made, "Stage", api_id=api.ref, stage_name="$default")
    front = ApiStage(api_id=api.ref, stage=stage.ref, url="https://a.example")
    add_domain(made, Domain(name=f"gone.{NAME}", hosted_zone_id=zone), front, None)
    template = app.synth().get_stack_by_name("gone").template
    assert local_cloud.deploy("gone", template["Resources"]) == "CREATE_COMPLETE"
    assert is_custom(f"gone.{NAME}")
    assert local_cloud.delete("gone") == "DELETE_COMPLETE"
    assert not is_custom(f"gone.{NAME}")
    found = local_cloud.client("route53").list_resource_record_sets(HostedZoneId=zone)
    left = {one["Name"] for one in found["ResourceRecordSets"] if one["Type"] in ("A", "CNAME")}
    # The record of the validation stays, as on AWS.
    assert left == {f"_validation.gone.{NAME}."}


def test_a_certificate_that_is_none_of_the_name_is_refused(local_cloud: LocalCloudClient) -> None:
    region = local_cloud.cloud.region
    provide(Domain(name=f"other.{NAME}", certificate_arn=CERTIFICATE), region)
    assert local_cloud.deploy("wrong", stack(CertificateArn=CERTIFICATE)) == "ROLLBACK_COMPLETE"
    assert local_cloud.client("apigatewayv2").get_domain_names()["Items"] == []


def test_a_name_keeps_its_mappings_when_it_gets_another_certificate(
    local_cloud: LocalCloudClient,
) -> None:
    region = local_cloud.cloud.region
    first, second = f"{CERTIFICATE}-first", f"{CERTIFICATE}-second"
    for arn in (first, second):
        provide(Domain(name=NAME, certificate_arn=arn), region)
    api = local_cloud.client("apigatewayv2")
    whole = api.create_api(Name="a", ProtocolType="HTTP")["ApiId"]
    assert local_cloud.deploy("renewed", stack(CertificateArn=first)) == "CREATE_COMPLETE"
    api.create_api_mapping(DomainName=NAME, ApiId=whole, Stage="$default", ApiMappingKey="")
    assert local_cloud.deploy("renewed", stack(CertificateArn=second)) == "UPDATE_COMPLETE"
    (configuration,) = api.get_domain_name(DomainName=NAME)["DomainNameConfigurations"]
    assert configuration["CertificateArn"] == second
    assert [one["ApiId"] for one in api.get_api_mappings(DomainName=NAME)["Items"]] == [whole]
    assert mapped(NAME, "/v1") == Mapped(api_id=whole, stage="$default", path="/v1")


def test_a_certificate_in_a_zone_that_is_not_there_is_refused(
    local_cloud: LocalCloudClient,
) -> None:
    options = [{"DomainName": NAME, "HostedZoneId": ZONE}]
    properties = {"DomainName": NAME, "DomainValidationOptions": options}
    resources = {"Made": {"Type": "AWS::CertificateManager::Certificate", "Properties": properties}}
    assert local_cloud.deploy("nowhere", resources) == "ROLLBACK_COMPLETE"
    listed = local_cloud.client("acm").list_certificates()["CertificateSummaryList"]
    assert NAME not in [
        one["DomainName"] for one in listed if CERTIFICATE not in one["CertificateArn"]
    ]
