"""Rules for Lambda functions."""

from collections.abc import Iterator
from typing import Any

from contracts.limits import (
    GATEWAY_TIMEOUT_S,
    LAMBDA_MEMORY_MB,
    MAX_CPU_WRITING_S,
    MAX_TIER_TIMEOUT_S,
)
from contracts.tasks import WRITING_TASKS
from stacks.rules.document import Document, Json, number, text, within
from stacks.rules.finding import Finding

FUNCTION, ALIAS = "AWS::Lambda::Function", "AWS::Lambda::Alias"
VERSION, INTEGRATION = "AWS::Lambda::Version", "AWS::ApiGatewayV2::Integration"
# Of a REST API: its integration is in its method.
METHOD = "AWS::ApiGateway::Method"
RELEASE = "AWS::SSM::Parameter"
LOG_GROUP, EVENTS = "AWS::Logs::LogGroup", "AWS::Lambda::EventInvokeConfig"
# Lambda's default: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
TIMEOUT_S = 3


def function_memory(stack: Document) -> Iterator[Finding]:
    """Require memory that Lambda has; CloudFormation's schema has no maximum."""
    low, high = LAMBDA_MEMORY_MB
    for name, function in stack.of(FUNCTION).items():
        memory = function.get("MemorySize", low)
        if number(memory) < low or number(memory) > high:
            message = f"{memory} MB of memory; Lambda has {low} to {high}, so set memory_mb within"
            yield Finding(resource=name, place="MemorySize", message=message)


def function_timeout(stack: Document) -> Iterator[Finding]:
    """Require that timeouts nest: a function answers before its caller gives up, and is not run for nobody."""
    behind = {
        invoked: number(integration.get("TimeoutInMillis", GATEWAY_TIMEOUT_S * 1000)) / 1000
        for _, integration, uri in integrations(stack)
        if (invoked := _invoked(stack, uri))
    }
    for name, function in stack.of(FUNCTION).items():
        timeout = number(function.get("Timeout", TIMEOUT_S))
        if name in behind and timeout >= behind[name]:
            message = f"a timeout of {timeout:g} s; its integration's is {behind[name]:g}, set less"
            yield Finding(resource=name, place="Timeout", message=message)
        # Of ours, only models and the routers are images, and the routers wait for a model.
        elif name not in behind and "ImageUri" in function["Code"] and timeout > _waited(stack):
            message = (
                f"a timeout of {timeout:g} s; the router waits {_waited(stack)}, so lower timeout_s"
            )
            yield Finding(resource=name, place="Timeout", message=message)


def _waited(stack: Document) -> int:
    """Return the seconds that the router waits for a model: longer for one that writes, as the release says."""
    said = " ".join(text(one.get("Value")) for one in stack.of(RELEASE).values())
    writes = any(f'"task": "{task}"' in said for task in WRITING_TASKS)
    return MAX_CPU_WRITING_S if writes else MAX_TIER_TIMEOUT_S


def integrations(stack: Document) -> Iterator[tuple[str, Json, Any]]:
    """Yield the name of each integration, its properties and the URI that it invokes, of APIs of both kinds."""
    for name, integration in stack.of(INTEGRATION).items():
        yield name, integration, integration.get("IntegrationUri")
    for name, method in stack.of(METHOD).items():
        integration = method.get("Integration", {})
        yield name, integration, integration.get("Uri")


def _invoked(stack: Document, uri: Any) -> str | None:
    """Return the function that is invoked under a URI, itself or by its alias, which may be a part of it."""
    for value in within(uri):
        alias = stack.named(value, ALIAS)
        named = stack.of(ALIAS)[alias].get("FunctionName") if alias else value
        if function := stack.named(named, FUNCTION):
            return function
    return None


def function_log(stack: Document) -> Iterator[Finding]:
    """Require a log group of the stack: the one that Lambda makes never expires and outlives the stack."""
    for name, function in stack.of(FUNCTION).items():
        if not stack.named(function.get("LoggingConfig", {}).get("LogGroup"), LOG_GROUP):
            message = "no log group of this stack; name one in LoggingConfig"
            yield Finding(resource=name, place="LoggingConfig", message=message)


def snapshot_kept_started(stack: Document) -> Iterator[Finding]:
    """Forbid provisioned concurrency beside SnapStart, which Lambda refuses when the version is published.

    https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html
    """
    for kind in (ALIAS, VERSION):
        for name, published in stack.of(kind).items():
            function = stack.named(published.get("FunctionName"), FUNCTION)
            place = "ProvisionedConcurrencyConfig"
            if function and place in published and "SnapStart" in stack.of(FUNCTION)[function]:
                message = "a model has snap_start or provisioned concurrency, not both; remove one"
                yield Finding(resource=name, place=place, message=message)


def snapshot_unpublished(stack: Document) -> Iterator[Finding]:
    """Require that a function with SnapStart is called by a published version: $LATEST never has a snapshot."""
    for name, alias in stack.of(ALIAS).items():
        function = stack.named(alias.get("FunctionName"), FUNCTION)
        started = function and "SnapStart" in stack.of(FUNCTION)[function]
        if started and not stack.named(alias.get("FunctionVersion"), VERSION):
            message = "an alias of no published version starts from no snapshot; name a version"
            yield Finding(resource=name, place="FunctionVersion", message=message)


def event_kept(stack: Document) -> Iterator[Finding]:
    """Require that an event is tried once and kept nowhere: by default it is tried three times, within six hours.

    Events have callers' texts in them, and a sample that comes late or twice says nothing.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """
    for name, config in stack.of(EVENTS).items():
        if config.get("MaximumRetryAttempts") != 0:
            message = "events are tried again; set MaximumRetryAttempts to 0"
            yield Finding(resource=name, place="MaximumRetryAttempts", message=message)
        if "DestinationConfig" in config:
            message = "events are kept at a destination; remove it"
            yield Finding(resource=name, place="DestinationConfig", message=message)
