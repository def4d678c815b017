"""The resource types of REST APIs, over moto's own; CloudFormation sets what other calls than creation take."""

from typing import Any

from local.control.resource_type import Made, Properties, Type, call

# The settings of a stage's methods that the gateway applies, by their paths in UpdateStage.
# https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateStage-Patch
THROTTLE = {
    "ThrottlingRateLimit": "/*/*/throttling/rateLimit",
    "ThrottlingBurstLimit": "/*/*/throttling/burstLimit",
}


def _key(*names: str) -> Any:
    """Return what names a resource in calls by its own properties."""
    return lambda made: {name: made.properties[name] for name in names}


def _child(kind: str) -> Type:
    """Return the type of a part of an API, which has an id of its own."""
    return Type(
        name=f"AWS::ApiGateway::{kind}",
        service="apigateway",
        create=f"create_{kind.lower()}",
        delete=f"delete_{kind.lower()}",
        ref=lambda made: made.response["id"],
        key=lambda made: {
            "RestApiId": made.properties["RestApiId"],
            f"{kind}Id": made.response["id"],
        },
    )


def _set_binary(made: Made) -> None:
    """Set the types whose bodies are bytes, which moto drops when an API is created."""
    patches = [
        {"Op": "add", "Path": "/binaryMediaTypes", "Value": one}
        for one in made.properties.get("BinaryMediaTypes", [])
    ]
    api = {"RestApiId": made.response["id"]}
    call("apigateway", "update_rest_api", made.region, {**api, "PatchOperations": patches})


def _put_integration(made: Made) -> None:
    given: Properties = made.properties["Integration"]
    place = {key: made.properties[key] for key in ("RestApiId", "ResourceId", "HttpMethod")}
    call("apigateway", "put_integration", made.region, {**given, **place})


def _set_throttle(made: Made) -> None:
    settings = made.properties.get("MethodSettings", [])
    patches = [
        {"Op": "replace", "Path": path, "Value": str(one[name])}
        for one in settings
        for name, path in THROTTLE.items()
        if name in one
    ]
    stage = {"RestApiId": made.properties["RestApiId"], "StageName": made.properties["StageName"]}
    call("apigateway", "update_stage", made.region, {**stage, "PatchOperations": patches})


REST_TYPES: tuple[Type, ...] = (
    Type(
        name="AWS::ApiGateway::RestApi",
        service="apigateway",
        create="create_rest_api",
        delete="delete_rest_api",
        ref=lambda made: made.response["id"],
        key=lambda made: {"RestApiId": made.response["id"]},
        attributes={"RootResourceId": lambda made: made.response["rootResourceId"]},
        after=_set_binary,
    ),
    _child("Resource"),
    Type(
        name="AWS::ApiGateway::Method",
        service="apigateway",
        create="put_method",
        delete="delete_method",
        ref=lambda made: made.name,
        key=_key("RestApiId", "ResourceId", "HttpMethod"),
        after=_put_integration,
    ),
    _child("Deployment"),
    Type(
        name="AWS::ApiGateway::Stage",
        service="apigateway",
        create="create_stage",
        delete="delete_stage",
        ref=lambda made: made.properties["StageName"],
        key=_key("RestApiId", "StageName"),
        after=_set_throttle,
    ),
)
