"""Rules for the API: what a caller reaches, how often, and for how long."""

import re
from collections.abc import Iterator

from contracts.limits import GATEWAY_TIMEOUT_S, STREAM_INTEGRATION_TIMEOUT_S
from stacks.domains.domain import REGIONAL, TLS_1_2
from stacks.rules.document import Document, number, text, within
from stacks.rules.finding import Finding
from stacks.rules.functions import FUNCTION, INTEGRATION, LOG_GROUP, METHOD, integrations

REST_STAGE, STREAM, STREAMED = "AWS::ApiGateway::Stage", "STREAM", "/response-streaming-invocations"
STAGE, PERMISSION = "AWS::ApiGatewayV2::Stage", "AWS::Lambda::Permission"
URL, EVENTS = "AWS::Lambda::Url", "events.amazonaws.com"
DOMAIN, MAPPING = "AWS::ApiGatewayV2::DomainName", "AWS::ApiGatewayV2::ApiMapping"
APIS = ("AWS::ApiGatewayV2::Api", "AWS::ApiGateway::RestApi")
CERTIFICATE, RECORD = "AWS::CertificateManager::Certificate", "AWS::Route53::RecordSet"
THROTTLE = ("ThrottlingRateLimit", "ThrottlingBurstLimit")
PAYLOADS = ("1.0", "2.0")
VENDED = "/aws/vendedlogs/"
_UNQUALIFIED = re.compile(r"arn:[^:]+:lambda:[^:]*:[^:]*:function:[^:]+")


def integration_timeout(stack: Document) -> Iterator[Finding]:
    """Require an integration's timeout within the gateway's, which no quota raises.

    An HTTP API has 30 s, a REST API that streams 15 minutes.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
    https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html
    """
    for name, integration, _ in integrations(stack):
        streams = integration.get("ResponseTransferMode") == STREAM
        most = STREAM_INTEGRATION_TIMEOUT_S if streams else GATEWAY_TIMEOUT_S
        timeout = number(integration.get("TimeoutInMillis", GATEWAY_TIMEOUT_S * 1000)) / 1000
        if timeout > most:
            message = f"a timeout of {timeout:g} s; the gateway has {most}, set less"
            yield Finding(resource=name, place="TimeoutInMillis", message=message)


def streams_what_streams(stack: Document) -> Iterator[Finding]:
    """Require that a REST API streams, by the URI of that call: one that collects answers has 29 s and nothing to add.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
    """
    for name, method in stack.of(METHOD).items():
        integration = method.get("Integration", {})
        by_uri = text(integration.get("Uri")).endswith(STREAMED)
        if integration.get("ResponseTransferMode") != STREAM or not by_uri:
            message = f"its answers are collected; set ResponseTransferMode to {STREAM}, and a URI of {STREAMED}"
            yield Finding(resource=name, place="Integration", message=message)


def payload_version(stack: Document) -> Iterator[Finding]:
    """Require a version of events that HTTP APIs have; neither schema nor service model lists them.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    for name, integration in stack.of(INTEGRATION).items():
        version = integration.get("PayloadFormatVersion")
        if version not in PAYLOADS:
            message = f"the payload format {version}; there are {' and '.join(PAYLOADS)}"
            yield Finding(resource=name, place="PayloadFormatVersion", message=message)


def invokes_alias(stack: Document) -> Iterator[Finding]:
    """Require an alias where an API invokes a function, and the permission on that alias: one covers no other."""
    # A schedule has the function as it is deployed, of which no alias is needed.
    asked = [
        *((name, "IntegrationUri", uri) for name, _, uri in integrations(stack)),
        *(
            (name, "FunctionName", permission.get("FunctionName"))
            for name, permission in stack.of(PERMISSION).items()
            if permission.get("Principal") != EVENTS
        ),
    ]
    for name, place, value in asked:
        plain = any(stack.named(one, FUNCTION) for one in within(value))
        if plain or _UNQUALIFIED.fullmatch(text(value)):
            message = "the function itself; name its alias, which callers have permission for"
            yield Finding(resource=name, place=place, message=message)


def stage_throttle(stack: Document) -> Iterator[Finding]:
    """Require a throttle of each stage: without one a caller has the account's whole rate, and its bill."""
    stages = [
        *((n, "DefaultRouteSettings", [one.get("DefaultRouteSettings", {})]) for n, one in stack.of(STAGE).items()),
        *((n, "MethodSettings", one.get("MethodSettings", [])) for n, one in stack.of(REST_STAGE).items()),
    ]  # fmt: skip
    for name, place, settings in stages:
        for limit in THROTTLE:
            # Of a REST API they are those of paths, of which ours sets all at once.
            if number(next((one[limit] for one in settings if limit in one), 0)) <= 0:
                message = f"no {limit}; set deployment.throttle"
                yield Finding(resource=name, place=place, message=message)


def public_function(stack: Document) -> Iterator[Finding]:
    """Forbid a way around the gateway: a function that anyone may invoke has neither throttle nor keys."""
    for name, url in stack.of(URL).items():
        if url.get("AuthType") == "NONE":
            message = "a function's URL without authorisation; remove it, callers have the API"
            yield Finding(resource=name, place="AuthType", message=message)
    for name, permission in stack.of(PERMISSION).items():
        if permission.get("Principal") == "*":
            message = "anyone may invoke the function; name the service that does"
            yield Finding(resource=name, place="Principal", message=message)
        elif "SourceArn" not in permission:
            message = "any account's gateway may invoke the function; name the API in SourceArn"
            yield Finding(resource=name, place="SourceArn", message=message)


def access_log_name(stack: Document) -> Iterator[Finding]:
    """Require an access log of an HTTP API, with the prefix of vended logs.

    Any other name takes room in a resource policy that ends at 5,120 characters. A REST API's needs a role that is a
    setting of the account, and has none.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
    """
    for name, stage in stack.of(STAGE).items():
        if "AccessLogSettings" not in stage:
            message = "no access log; the gateway's own errors leave no trace without one"
            yield Finding(resource=name, place="AccessLogSettings", message=message)
        group = stack.named(stage.get("AccessLogSettings", {}).get("DestinationArn"), LOG_GROUP)
        if group and not text(stack.of(LOG_GROUP)[group].get("LogGroupName")).startswith(VENDED):
            message = f"an access log outside of {VENDED}; name its group there"
            yield Finding(resource=name, place="AccessLogSettings", message=message)


def domain_tls(stack: Document) -> Iterator[Finding]:
    """Require a regional name with TLS 1.2 at least, which is all that an HTTP API takes.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-custom-domain-names.html
    """
    for name, domain in stack.of(DOMAIN).items():
        for one in domain.get("DomainNameConfigurations", []):
            for key, wanted in (("EndpointType", REGIONAL), ("SecurityPolicy", TLS_1_2)):
                if one.get(key) != wanted:
                    message = f"{key} {one.get(key)}; set {wanted}"
                    yield Finding(resource=name, place="DomainNameConfigurations", message=message)


def domain_mapped(stack: Document) -> Iterator[Finding]:
    """Require each API behind a domain, and one of them at its root: all other paths are a bare 403.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html
    """
    mappings = stack.of(MAPPING).values()
    for name in stack.of(DOMAIN):
        keys = [one.get("ApiMappingKey", "") for one in mappings]
        if "" not in keys or len(set(keys)) < len(keys):
            message = "its base paths are not each of one API, with the root among them"
            yield Finding(resource=name, place="ApiMappingKey", message=message)
        apis = (api for kind in APIS for api in stack.of(kind))
        behind = {text(one.get("ApiId")) for one in mappings}
        for api in apis:
            if text({"Ref": api}) not in behind:
                message = "no base path of the domain leads to it; map one"
                yield Finding(resource=api, place="ApiMapping", message=message)


def domain_certificate(stack: Document) -> Iterator[Finding]:
    """Require that a certificate is validated in a zone: without one, the stack waits for a record that nobody makes.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-certificatemanager-certificate.html
    """
    for name, certificate in stack.of(CERTIFICATE).items():
        options = certificate.get("DomainValidationOptions", [])
        in_zone = [one for one in options if "HostedZoneId" in one]
        if certificate.get("ValidationMethod") != "DNS" or not in_zone:
            message = "nothing validates it; set DNS, and the zone in DomainValidationOptions"
            yield Finding(resource=name, place="ValidationMethod", message=message)


def domain_record(stack: Document) -> Iterator[Finding]:
    """Require a record of the domain's own name that leads to it: anything else leads callers elsewhere.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/routing-to-api-gateway.html
    """
    for domain, properties in stack.of(DOMAIN).items():
        for name, record in stack.of(RECORD).items():
            target = record.get("AliasTarget", {}).get("DNSName")
            leads_here = stack.named(target, DOMAIN) == domain
            if leads_here != (text(record.get("Name")).rstrip(".") == properties["DomainName"]):
                message = "a name without its domain, or a domain without its name; set both alike"
                yield Finding(resource=name, place="AliasTarget", message=message)
