"""The custom domain: a regional name of API Gateway's, with a base path for each API, its certificate and its record.

It is in the router's stack: an API that a domain is mapped to cannot be deleted, so that a stack of its own could not
go after the router's.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-regional-api-custom-domain-create.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html
"""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_route53 as dns

from contracts.names import STREAM_BASE
from contracts.specs import Domain

# The lowest version of TLS; the only policy of a name that is in front of an HTTP API.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-custom-domain-names.html
TLS_1_2, REGIONAL = "TLS_1_2", "REGIONAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiStage:
    """An API that callers reach: the stage that serves it, and its URL of API Gateway's own, which never changes."""

    api_id: str
    stage: str
    url: str


def urls(domain: Domain | None, whole: ApiStage, streamed: ApiStage | None) -> dict[str, str]:
    """Return the URLs that the router names, as its variables have them; none of a single API without a domain."""
    found = {"TURNOUT_URL": domain.url if domain else whole.url}
    if streamed:
        found["TURNOUT_STREAM_URL"] = domain.stream_url if domain else streamed.url
    return found if domain or streamed else {}


def add_domain(
    stack: cdk.Stack, domain: Domain, whole: ApiStage, streamed: ApiStage | None
) -> None:
    """Create the name in front of the API of whole answers and, below its base path, of the one that streams."""
    name = gateway.CfnDomainName(
        stack,
        "Domain",
        domain_name=domain.name,
        domain_name_configurations=[
            gateway.CfnDomainName.DomainNameConfigurationProperty(
                certificate_arn=domain.certificate_arn or _certificate(stack, domain),
                endpoint_type=REGIONAL,
                security_policy=TLS_1_2,
            )
        ],
    )
    _map(stack, "DomainMapping", name, whole)
    _output(stack, "DomainUrl", domain.url, "Where to send requests, by your own name")
    if streamed:
        _map(stack, "StreamDomainMapping", name, streamed, STREAM_BASE)
        _output(stack, "DomainStreamUrl", domain.stream_url, "Where streams are answered, by it")
    _point(stack, domain, name)


def _certificate(stack: cdk.Stack, domain: Domain) -> str:
    """Create a certificate that CloudFormation has validated, by a record that it makes in the zone; return its ARN."""
    certificate = certificates.CfnCertificate(
        stack,
        "Certificate",
        domain_name=domain.name,
        validation_method="DNS",
        domain_validation_options=[
            certificates.CfnCertificate.DomainValidationOptionProperty(
                domain_name=domain.name, hosted_zone_id=domain.hosted_zone_id
            )
        ],
    )
    arn: str = certificate.ref
    return arn


def _map(
    stack: cdk.Stack, id_: str, name: gateway.CfnDomainName, front: ApiStage, base: str = ""
) -> None:
    # The reference makes it wait for the name; without a key it takes every path that no other has.
    gateway.CfnApiMapping(
        stack,
        id_,
        domain_name=name.ref,
        api_id=front.api_id,
        stage=front.stage,
        api_mapping_key=base or None,
    )


def _point(stack: cdk.Stack, domain: Domain, name: gateway.CfnDomainName) -> None:
    """Create the record that leads to API Gateway, or say which one the user is to create."""
    target = name.attr_regional_domain_name
    if not domain.hosted_zone_id:
        said = f"Create a CNAME record of {domain.name} with this value"
        _output(stack, "DomainTarget", target, said)
        return
    dns.CfnRecordSet(
        stack,
        "DomainRecord",
        hosted_zone_id=domain.hosted_zone_id,
        name=f"{domain.name}.",
        type="A",
        alias_target=dns.CfnRecordSet.AliasTargetProperty(
            dns_name=target,
            hosted_zone_id=name.attr_regional_hosted_zone_id,
            evaluate_target_health=False,
        ),
    )


def _output(stack: cdk.Stack, name: str, value: str, description: str) -> None:
    cdk.CfnOutput(stack, name, value=value, description=description)
