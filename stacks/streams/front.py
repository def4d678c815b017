"""The REST API that streams, with the same routes and keys as the HTTP API, which cannot.

https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html
"""

import aws_cdk as cdk
from aws_cdk import aws_apigateway as gateway
from aws_cdk import aws_lambda as lambda_

from contracts.limits import STREAM_INTEGRATION_TIMEOUT_S
from contracts.names import ALIAS
from stacks.domains.domain import ApiStage
from stacks.limits.throttle import Limits

# What a gateway takes for text, it does not keep as bytes: `contracts/request_body.py` names this type.
BINARY = "application/octet-stream"
# Why findings of cdk-nag are none here.
REASONS = {
    "AwsSolutions-APIG1": "its log needs a role that the account has for all of its REST APIs, whose logs end when the "
    "stack that sets it is deleted; the router writes a line for each request",
    "AwsSolutions-APIG6": "as its access log",
    "AwsSolutions-APIG2": "the router checks every request against the task's own schema",
    "AwsSolutions-APIG3": "the stage is throttled and the router checks a key; a web ACL is the user's to add",
    "AwsSolutions-APIG4": "the router checks a bearer key on every route but the health check and the documentation",
    "AwsSolutions-COG4": "as its authorisation",
}


def add_rest_api(stack: cdk.Stack, router: lambda_.IFunction, throttle: Limits) -> gateway.RestApi:
    """Create the API in front of a function that streams; every path goes to it."""
    api = gateway.RestApi(
        stack,
        "StreamApi",
        rest_api_name=f"{stack.stack_name}-stream",
        endpoint_configuration=gateway.EndpointConfiguration(types=[gateway.EndpointType.REGIONAL]),
        binary_media_types=[BINARY],
        # The account's, which is not this stack's to set.
        cloud_watch_role=False,
        deploy_options=gateway.StageOptions(
            stage_name=ALIAS,
            throttling_rate_limit=throttle.rate,
            throttling_burst_limit=throttle.burst,
        ),
    )
    # The CDK's own output has a name that nobody would look for.
    api.node.try_remove_child("Endpoint")
    integration = gateway.LambdaIntegration(
        router,
        response_transfer_mode=gateway.ResponseTransferMode.STREAM,
        timeout=cdk.Duration.seconds(STREAM_INTEGRATION_TIMEOUT_S),
        # It would be invoked from the console, without throttle.
        allow_test_invoke=False,
    )
    api.root.add_method("ANY", integration)
    api.root.add_proxy(default_integration=integration)
    for rule, reason in REASONS.items():
        cdk.Validations.of(api).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))
    return api


def front_of(api: gateway.RestApi) -> ApiStage:
    """Return the front that the API is; its paths begin behind the name of its stage."""
    host = f"{api.rest_api_id}.execute-api.{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}"
    stage = api.deployment_stage.stage_name
    return ApiStage(api_id=api.rest_api_id, stage=stage, url=f"https://{host}/{ALIAS}")
