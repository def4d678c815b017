"""Rules for the API: what a caller reaches, how often, and for how long."""

import re
from collections.abc import Iterator

from contracts.limits import GATEWAY_TIMEOUT_S, STREAM_INTEGRATION_TIMEOUT_S
from stacks.rules.document import Document, number, text, within
from stacks.rules.finding import Finding
from stacks.rules.functions import FUNCTION, INTEGRATION, LOG_GROUP, METHOD, integrations

REST_STAGE, STREAM, STREAMED = "AWS::ApiGateway::Stage", "STREAM", "/response-streaming-invocations"
STAGE, PERMISSION = "AWS::ApiGatewayV2::Stage", "AWS::Lambda::Permission"
URL, EVENTS = "AWS::Lambda::Url", "events.amazonaws.com"
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
