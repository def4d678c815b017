"""Resource types that moto's CloudFormation lacks, each over a service API that moto has.

`cloudformation.py` refuses a type that neither moto nor this table has.
"""

from collections.abc import Callable
from typing import Any

from local.control.canaries.codedeploy import shift
from local.control.data_plane import DEFAULT_ROUTE, data_plane
from local.control.resource_type import Made, Properties, Type
from local.control.scaling_types import SCALING_TYPES
from local.permissions.services import check_pull, log_needs, may_log


def _response(key: str) -> Any:
    return lambda made: made.response[key]


def _property(key: str) -> Any:
    return lambda made: made.properties[key]


def _keys(*names: str) -> Any:
    return lambda made: {name: made.properties[name] for name in names}


def _function_name(properties: Properties) -> Properties:
    """Reduce a function's name or ARN to its name, which aliases belong to."""
    name = properties["FunctionName"].split(":function:")[-1].split(":")[0]
    return {**properties, "FunctionName": name}


def _default_route(properties: Properties) -> Properties:
    """Return the properties; raise ValueError for a route that the gateway would never match."""
    if properties["RouteKey"] != DEFAULT_ROUTE:
        raise ValueError(
            f"the local gateway has the route {DEFAULT_ROUTE} alone, not {properties['RouteKey']}; "
            f"let the function behind {DEFAULT_ROUTE} tell paths apart, or deploy this stack to AWS"
        )
    return properties


def _api_child(kind: str, id_name: str, prepare: Callable[[Properties], Properties] = dict) -> Type:
    return Type(
        prepare=prepare,
        name=f"AWS::ApiGatewayV2::{kind}",
        service="apigatewayv2",
        create=f"create_{kind.lower()}",
        update=f"update_{kind.lower()}",
        delete=f"delete_{kind.lower()}",
        ref=_response(id_name),
        key=lambda made: {"ApiId": made.properties["ApiId"], id_name: made.response[id_name]},
        attributes={id_name: _response(id_name)},
    )


def _start_component(made: Made) -> None:
    """Start the container and return when it answers."""
    specification = made.properties["Specification"]
    from local.control.sagemaker import container_of, role_of
    from local.vllm.model_data import model_data

    image, environment = container_of(specification, made.account, made.region)
    startup = specification.get("StartupParameters", {})
    wait_s = int(startup.get("ContainerStartupHealthCheckTimeoutInSeconds", 600))
    name = made.properties["InferenceComponentName"]
    here, role = data_plane(), role_of(specification, made.account, made.region)
    check_pull(here.access, role, image)
    # SageMaker writes one for the endpoint and one for the component, with the same role.
    groups = {"Endpoints": made.properties["EndpointName"], "InferenceComponents": name}
    needs = [
        one
        for kind, of in groups.items()
        for one in log_needs(made.region, made.account, f"/aws/sagemaker/{kind}/{of}", "main")
    ]
    logs = may_log(here.access, role, needs)
    weights = model_data(specification, made.account, made.region)
    here.containers.start(name, image, environment, wait_s, logs=logs, weights=weights)


TYPES: tuple[Type, ...] = (
    *SCALING_TYPES,
    Type(
        name="AWS::Lambda::Alias",
        service="lambda",
        create="create_alias",
        update="update_alias",
        delete="delete_alias",
        prepare=_function_name,
        ref=_response("AliasArn"),
        key=_keys("FunctionName", "Name"),
        attributes={"AliasArn": _response("AliasArn")},
        before_update=lambda made, template: shift(made.response["AliasArn"], template),
    ),
    Type(
        name="AWS::Lambda::EventInvokeConfig",
        service="lambda",
        create="put_function_event_invoke_config",
        update="put_function_event_invoke_config",
        delete="delete_function_event_invoke_config",
        prepare=_function_name,
        ref=lambda made: f"{made.properties['FunctionName']}|{made.properties['Qualifier']}",
        key=_keys("FunctionName", "Qualifier"),
    ),
    Type(
        name="AWS::ApiGatewayV2::Api",
        service="apigatewayv2",
        create="create_api",
        update="update_api",
        delete="delete_api",
        ref=_response("ApiId"),
        key=lambda made: {"ApiId": made.response["ApiId"]},
        attributes={
            "ApiId": _response("ApiId"),
            "ApiEndpoint": lambda made: data_plane().api_endpoint(made.response["ApiId"]),
        },
    ),
    _api_child("Integration", "IntegrationId"),
    _api_child("Route", "RouteId", _default_route),
    Type(
        name="AWS::ApiGatewayV2::Stage",
        service="apigatewayv2",
        create="create_stage",
        delete="delete_stage",
        ref=_property("StageName"),
        key=_keys("ApiId", "StageName"),
    ),
    Type(
        name="AWS::SageMaker::InferenceComponent",
        service="sagemaker",
        create="create_inference_component",
        update="update_inference_component",
        delete="delete_inference_component",
        name_property="InferenceComponentName",
        ref=_response("InferenceComponentArn"),
        key=_keys("InferenceComponentName"),
        attributes={
            "InferenceComponentArn": _response("InferenceComponentArn"),
            "InferenceComponentStatus": lambda made: "InService",
        },
        after=_start_component,
        before_delete=lambda made: data_plane().containers.stop(
            made.properties["InferenceComponentName"]
        ),
    ),
    Type(
        name="AWS::SSM::Parameter",
        service="ssm",
        create="put_parameter",
        update="put_parameter",
        delete="delete_parameter",
        # A parameter cannot be overwritten and tagged in one call, and the stack has the tags.
        prepare=lambda p: {key: value for key, value in p.items() if key != "Tags"},
        ref=_property("Name"),
        key=lambda made: {"Name": made.properties["Name"], "Overwrite": True},
    ),
    Type(
        name="AWS::S3::BucketPolicy",
        service="s3",
        create="put_bucket_policy",
        update="put_bucket_policy",
        delete="delete_bucket_policy",
        prepare=lambda p: {"Bucket": p["Bucket"], "Policy": p["PolicyDocument"]},
        ref=_property("Bucket"),
        key=_keys("Bucket"),
    ),
)

# Types that the CDK adds to every stack and that create nothing.
EMPTY = ("AWS::CDK::Metadata",)
