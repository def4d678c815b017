"""Fixes of moto's Lambda: properties that CloudFormation drops, versions, aliases, and the runtime."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from moto.awslambda import models
from moto.awslambda.exceptions import LambdaClientError

from local.control.canaries import aliases
from local.control.data_plane import ACCOUNT, Invocation, StreamEnd, data_plane
from local.permissions.errors import AccessDenied, NotEvaluated
from local.permissions.services import LAMBDA

# The header of a request, and its value for an event that nobody waits for.
INVOCATION_TYPE, EVENT = "X-Amz-Invocation-Type", "Event"
# Lambda's default of an event's oldest age.
EVENT_S = 6 * 3600
# Properties that moto's CloudFormation drops before it calls its own CreateFunction.
DROPPED = ("PackageType", "ImageConfig", "Architectures", "LoggingConfig", "EphemeralStorage")


class TooManyRequests(LambdaClientError):  # type: ignore[misc]
    """Lambda's refusal of an invocation above the account's or the function's concurrency.

    https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors
    """

    code = 429

    def __init__(self) -> None:
        super().__init__("TooManyRequestsException", "Rate Exceeded.")


def extend() -> None:
    _assume_roles()
    _pass_properties_on()
    _complete_versions()
    _run_in_pool()
    aliases.extend()


def _assume_roles() -> None:
    """Refuse a function whose role does not trust Lambda, and keep the log group, which moto drops."""
    create_function = models.LambdaBackend.create_function

    def create(self: Any, spec: dict[str, Any]) -> Any:
        access = data_plane().access
        try:
            # A role that does not exist is refused by moto.
            with contextlib.suppress(NotEvaluated):
                access.check_trust(str(spec["Role"]), LAMBDA, {"aws:SourceAccount": access.account})
        except AccessDenied as error:
            message = "The role defined for the function cannot be assumed by Lambda."
            raise models.InvalidParameterValueException(message) from error
        function = create_function(self, spec)
        default = f"/aws/lambda/{function.function_name}"
        function.log_group = (spec.get("LoggingConfig") or {}).get("LogGroup") or default
        return function

    models.LambdaBackend.create_function = create


def _pass_properties_on() -> None:
    """Pass the dropped properties to CreateFunction, and close a deleted function's environments."""
    # `__func__`: bound to its class, the method would get that one twice.
    create = models.LambdaFunction.create_from_cloudformation_json.__func__
    create_function = models.LambdaBackend.create_function

    def from_cloudformation(
        cls: Any,
        /,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **kw: Any,
    ) -> Any:
        properties = cloudformation_json["Properties"]

        def with_properties(self: Any, spec: dict[str, Any]) -> Any:
            spec.update({key: properties[key] for key in DROPPED if key in properties})
            if isinstance(properties.get("Tags"), list):
                spec["Tags"] = {tag["Key"]: tag["Value"] for tag in properties["Tags"]}
            return create_function(self, {k: v for k, v in spec.items() if v is not None})

        # moto calls CreateFunction in the middle of its own method, so it is replaced for the time of the call.
        models.LambdaBackend.create_function = with_properties
        try:
            return create(cls, resource_name, cloudformation_json, account_id, region_name, **kw)
        finally:
            models.LambdaBackend.create_function = create_function

    def delete(self: Any, account_id: str, region: str) -> None:
        data_plane().functions.forget(self.function_arn)
        models.lambda_backends[account_id][region].delete_function(self.function_name)

    models.LambdaFunction.create_from_cloudformation_json = classmethod(from_cloudformation)
    models.LambdaFunction.delete = delete


def _complete_versions() -> None:
    """Publish a version from the function's current code; `Version` and `Ref` name it."""

    def create(
        cls: Any,
        /,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **_: Any,
    ) -> Any:
        backend = models.lambda_backends[account_id][region_name]
        published = backend.publish_version(cloudformation_json["Properties"]["FunctionName"])
        # Before the first call, which a deployment makes for the probe and does not wait for as long.
        data_plane().functions.prepare(published)
        version = models.LambdaVersion({"Version": published.version})
        version.physical_resource_id = published.function_arn
        return version

    models.LambdaVersion.create_from_cloudformation_json = classmethod(create)
    models.LambdaVersion.has_cfn_attr = classmethod(lambda cls, a: a in ("Version", "FunctionArn"))
    models.LambdaVersion.get_cfn_attribute = lambda self, attribute: (
        str(self.version) if attribute == "Version" else self.physical_resource_id
    )
    # moto's record of it is deleted with its function. An alias that named it names another by now.
    models.LambdaVersion.delete = lambda self, account_id, region: data_plane().functions.forget(
        self.physical_resource_id
    )


def _run_in_pool() -> None:
    """Run functions in our pool instead of moto's Docker containers, and resolve aliases to versions."""

    def invoke(self: Any, body: Any, request_headers: Any, response_headers: Any) -> Any:
        payload = body if isinstance(body, bytes) else (body or "{}").encode()
        if request_headers.get(INVOCATION_TYPE) == EVENT:
            # Nothing of ours runs on behind the cloud: a request that its end interrupts is not answered either.
            threading.Thread(target=run_event, args=(self, payload), daemon=True).start()
            return b""
        done = data_plane().functions.invoke(self, payload)
        if done.is_throttled:
            raise TooManyRequests
        if done.error:
            response_headers["x-amz-function-error"] = "Unhandled"
        # Lambda returns the last 4 KB of the log.
        # https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_ResponseSyntax
        response_headers["x-amz-log-result"] = base64.b64encode(done.log[-4096:].encode()).decode()
        response_headers["x-amz-executed-version"] = str(self.version)
        return done.payload

    invoke_by_name = models.LambdaBackend.invoke

    def by_qualifier(
        self: Any,
        function_name: str,
        qualifier: Any,
        body: Any,
        headers: Any,
        response_headers: Any,
    ) -> Any:
        name, given = split(function_name)
        asked = given or qualifier
        if not _is_alias(asked):
            return invoke_by_name(self, name, asked, body, headers, response_headers)
        version = aliases.chosen(self.get_alias(asked, name))
        answer = invoke_by_name(self, name, version, body, headers, response_headers)
        if "x-amz-function-error" in response_headers:
            data_plane().alarms.errors.add(data_plane().clock(), name, str(asked), version)
        return answer

    models.LambdaFunction.invoke = invoke
    models.LambdaBackend.invoke = by_qualifier


def run_event(function: Any, payload: bytes, pause: Callable[[float], object] = time.sleep) -> None:
    """Run a function for an event, once; while it is throttled, it waits, but not longer than events may be old.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """
    configured = [one.config for one in function.event_invoke_config]
    oldest_s = configured[-1].get("MaximumEventAgeInSeconds", EVENT_S) if configured else EVENT_S
    for _ in range(int(oldest_s)):
        if not data_plane().functions.invoke(function, payload).is_throttled:
            return
        pause(1)


def stream_function(
    region: str, function: str, qualifier: str | None, payload: bytes
) -> tuple[str, Iterator[bytes | StreamEnd]]:
    """Run a function by its name or ARN, or the version of an alias; return the version and what it sends as it comes.

    Raise moto's errors for a function that does not exist, and TooManyRequests.
    """
    backend = models.lambda_backends[ACCOUNT][region]
    name, given = split(function)
    asked = given or qualifier
    version = aliases.chosen(backend.get_alias(asked, name)) if _is_alias(asked) else asked
    found = backend.get_function(name, version)
    sent = data_plane().functions.stream(found, payload)
    if sent is None:
        raise TooManyRequests
    if not _is_alias(asked):
        return str(found.version), sent
    return str(found.version), _with_errors_counted(sent, name, str(asked), str(found.version))


def _with_errors_counted(
    sent: Iterator[bytes | StreamEnd], name: str, alias: str, version: str
) -> Iterator[bytes | StreamEnd]:
    for item in sent:
        if isinstance(item, StreamEnd) and item.error:
            data_plane().alarms.errors.add(data_plane().clock(), name, alias, version)
        yield item


def invoke_function(arn: str, payload: bytes) -> Invocation:
    """Invoke a function, or the version of an alias, by its ARN."""
    headers: dict[str, str] = {}
    backend = models.lambda_backends[ACCOUNT][arn.split(":")[3]]
    try:
        body = backend.invoke(arn, None, payload, {}, headers)
    except TooManyRequests:
        return Invocation(payload=b"", error=True, log="", is_throttled=True)
    return Invocation(payload=body or b"", error="x-amz-function-error" in headers, log="")


def split(function: str) -> tuple[str, str | None]:
    """Split `name`, `name:qualifier` or an ARN of either into name and qualifier."""
    name, _, qualifier = function.split(":function:")[-1].partition(":")
    return name, qualifier or None


def _is_alias(qualifier: str | None) -> bool:
    return bool(qualifier) and qualifier != "$LATEST" and not str(qualifier).isdigit()


def error(kind: str, message: str) -> bytes:
    """Return the body of Lambda's response for a function that failed to respond."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()
