"""Rules for the API: what a caller reaches, how often, and for how long."""

import re
from collections.abc import Iterator

from contracts.limits import GATEWAY_TIMEOUT_S
from stacks.rules.document import Document, number, text
from stacks.rules.finding import Finding
from stacks.rules.functions import ALIAS, FUNCTION, INTEGRATION, LOG_GROUP

STAGE, PERMISSION = "AWS::ApiGatewayV2::Stage", "AWS::Lambda::Permission"
URL, EVENTS = "AWS::Lambda::Url", "events.amazonaws.com"
THROTTLE = ("ThrottlingRateLimit", "ThrottlingBurstLimit")
PAYLOADS = ("1.0", "2.0")
VENDED = "/aws/vendedlogs/"
_UNQUALIFIED = re.compile(r"arn:[^:]+:lambda:[^:]*:[^:]*:function:[^:]+")


def integration_timeout(stack: Document) -> Iterator[Finding]:
    """Require an integration's timeout within the gateway's: an HTTP API has 30 s, and no quota raises them.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
    """
    for name, integration in stack.of(INTEGRATION).items():
        timeout = number(integration.get("TimeoutInMillis", GATEWAY_TIMEOUT_S * 1000)) / 1000
        if timeout > GATEWAY_TIMEOUT_S:
            message = f"a timeout of {timeout:g} s; an HTTP API has {GATEWAY_TIMEOUT_S}, set less"
            yield Finding(resource=name, place="TimeoutInMillis", message=message)


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
    asked = (
        (INTEGRATION, "IntegrationUri"),
        (PERMISSION, "FunctionName"),
    )
    for kind, place in asked:
        for name, properties in stack.of(kind).items():
            # A schedule has the function as it is deployed, of which no alias is needed.
            if properties.get("Principal") == EVENTS:
                continue
            value = properties.get(place)
            plain = stack.named(value, FUNCTION) or _UNQUALIFIED.fullmatch(text(value))
            if plain and not stack.named(value, ALIAS):
                message = "the function itself; name its alias, which callers have permission for"
                yield Finding(resource=name, place=place, message=message)


def stage_throttle(stack: Document) -> Iterator[Finding]:
    """Require a throttle of each stage: without one a caller has the account's whole rate, and its bill."""
    for name, stage in stack.of(STAGE).items():
        limits = stage.get("DefaultRouteSettings", {})
        for limit in THROTTLE:
            if number(limits.get(limit, 0)) <= 0:
                message = f"no {limit}; set deployment.throttle"
                yield Finding(resource=name, place="DefaultRouteSettings", message=message)


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
    """Require the prefix of vended logs: any other name takes room in a resource policy that ends at 5,120 characters.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
    """
    for name, stage in stack.of(STAGE).items():
        group = stack.named(stage.get("AccessLogSettings", {}).get("DestinationArn"), LOG_GROUP)
        if group and not text(stack.of(LOG_GROUP)[group].get("LogGroupName")).startswith(VENDED):
            message = f"an access log outside of {VENDED}; name its group there"
            yield Finding(resource=name, place="AccessLogSettings", message=message)
