"""Faults of the API."""

from stacks.rules.document import Document, Json
from stacks.rules.functions import FUNCTION
from tests.stacks.mutants.mutation import ROUTER, Mutation, first, image_function, model, ours

API, STAGE = "AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage"
INTEGRATION, ROUTE = "AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::Route"
PERMISSION = "AWS::Lambda::Permission"
METHOD, REST_STAGE = "AWS::ApiGateway::Method", "AWS::ApiGateway::Stage"
STREAMS = "https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html"


def _router(stack: Document) -> str:
    """Return the logical id of the router's function."""
    router = image_function(stack)
    return next(name for name, one in stack.of(FUNCTION).items() if one is router)


def integration_of_a_minute(stack: Document) -> None:
    first(stack, INTEGRATION)["TimeoutInMillis"] = 60_000


def integration_of_the_function(stack: Document) -> None:
    first(stack, INTEGRATION)["IntegrationUri"] = {"Fn::GetAtt": [_router(stack), "Arn"]}


def permission_on_the_function(stack: Document) -> None:
    first(stack, PERMISSION)["FunctionName"] = {"Fn::GetAtt": [_router(stack), "Arn"]}


def permission_for_anyone(stack: Document) -> None:
    first(stack, PERMISSION)["Principal"] = "*"


def permission_for_any_api(stack: Document) -> None:
    del first(stack, PERMISSION)["SourceArn"]


def url_beside_the_api(stack: Document) -> None:
    arn = {"Fn::GetAtt": [_router(stack), "Arn"]}
    properties = {"AuthType": "NONE", "TargetFunctionArn": arn}
    stack.all["Open"] = {"Type": "AWS::Lambda::Url", "Properties": properties}


def stage_without_throttle(stack: Document) -> None:
    del first(stack, STAGE)["DefaultRouteSettings"]


def burst_of_none(stack: Document) -> None:
    first(stack, STAGE)["DefaultRouteSettings"]["ThrottlingBurstLimit"] = 0


def access_log_of_another_prefix(stack: Document) -> None:
    for group in stack.of("AWS::Logs::LogGroup").values():
        if "LogGroupName" in group:
            group["LogGroupName"] = "/turnout/access"


def stage_without_log(stack: Document) -> None:
    del first(stack, STAGE)["AccessLogSettings"]


def protocol_misspelt(stack: Document) -> None:
    first(stack, API)["ProtocolType"] = "HTTPS"


def integration_misspelt(stack: Document) -> None:
    first(stack, INTEGRATION)["IntegrationType"] = "LAMBDA"


def payload_of_no_version(stack: Document) -> None:
    first(stack, INTEGRATION)["PayloadFormatVersion"] = "3.0"


def authorization_misspelt(stack: Document) -> None:
    first(stack, ROUTE)["AuthorizationType"] = "OPEN"


def _method(stack: Document) -> Json:
    """Return the integration of the REST API's first method, to be changed."""
    integration: Json = first(stack, METHOD)["Integration"]
    return integration


def stream_of_an_hour(stack: Document) -> None:
    _method(stack)["TimeoutInMillis"] = 3_600_000


def stream_that_is_collected(stack: Document) -> None:
    _method(stack)["ResponseTransferMode"] = "BUFFERED"


def stream_by_the_call_that_collects(stack: Document) -> None:
    parts = _method(stack)["Uri"]["Fn::Join"][1]
    parts[-1] = "/invocations"


def stream_of_the_function(stack: Document) -> None:
    parts = _method(stack)["Uri"]["Fn::Join"][1]
    names = stack.of(FUNCTION)
    function = next(name for name, one in names.items() if "ImageConfig" in one)
    parts[1] = {"Fn::GetAtt": [function, "Arn"]}


def streams_without_throttle(stack: Document) -> None:
    del first(stack, REST_STAGE)["MethodSettings"]


MUTATIONS = (
    Mutation(
        spoil=stream_of_an_hour,
        stack=ROUTER,
        account="the method is refused when it is created",
        source=STREAMS,
        caught_by=(ours("integration_timeout"),),
    ),
    Mutation(
        spoil=stream_that_is_collected,
        stack=ROUTER,
        account="the function's prelude is sent as a part of the answer, once all of it is there",
        source=STREAMS,
        caught_by=(ours("integration_timeout"), ours("streams_what_streams")),
    ),
    Mutation(
        spoil=stream_by_the_call_that_collects,
        stack=ROUTER,
        account="the method is refused, or answers 500 to all callers",
        source=STREAMS,
        caught_by=(ours("streams_what_streams"),),
    ),
    Mutation(
        spoil=stream_of_the_function,
        stack=ROUTER,
        account="$LATEST is asked, which the API has no permission for: 500 to all callers",
        source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html",
        caught_by=(ours("invokes_alias"),),
    ),
    Mutation(
        spoil=streams_without_throttle,
        stack=ROUTER,
        account="one caller has the whole rate of the account, and runs up its bill",
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html",
        caught_by=(ours("stage_throttle"),),
    ),
    Mutation(
        spoil=integration_of_a_minute,
        stack=ROUTER,
        account="the integration is refused when it is created",
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html",
        caught_by=(ours("integration_timeout"), model("range")),
    ),
    Mutation(
        spoil=integration_of_the_function,
        stack=ROUTER,
        account="$LATEST is asked, which the API has no permission for: 500 to all callers",
        source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html",
        caught_by=(ours("invokes_alias"),),
    ),
    Mutation(
        spoil=permission_on_the_function,
        stack=ROUTER,
        account="it does not cover the alias that is asked: 500 to all callers",
        source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html",
        caught_by=(ours("invokes_alias"),),
    ),
    Mutation(
        spoil=permission_for_anyone,
        stack=ROUTER,
        account="any account invokes the router, past throttle and log",
        source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html",
        caught_by=(ours("public_function"),),
    ),
    Mutation(
        spoil=permission_for_any_api,
        stack=ROUTER,
        account="an API of any account invokes the router, past throttle and log",
        source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html",
        caught_by=(ours("public_function"),),
    ),
    Mutation(
        spoil=url_beside_the_api,
        stack=ROUTER,
        account="the router answers past throttle and log",
        source="https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html",
        caught_by=(ours("public_function"),),
    ),
    Mutation(
        spoil=stage_without_throttle,
        stack=ROUTER,
        account="one caller has the whole rate of the account, and runs up its bill",
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html",
        caught_by=(ours("stage_throttle"),),
    ),
    Mutation(
        spoil=burst_of_none,
        stack=ROUTER,
        account="every request is answered by 429",
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html",
        caught_by=(ours("stage_throttle"),),
    ),
    Mutation(
        spoil=access_log_of_another_prefix,
        stack=ROUTER,
        account="with many such groups, the resource policy is full and the stage is refused",
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html",
        caught_by=(ours("access_log_name"),),
    ),
    Mutation(
        spoil=stage_without_log,
        stack=ROUTER,
        account="the gateway's own errors leave no trace",
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html",
        caught_by=(ours("access_log_name"),),
    ),
    Mutation(
        spoil=protocol_misspelt,
        stack=ROUTER,
        account="the API is refused when it is created",
        source="https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-integrations.html",
        caught_by=(model("enum"),),
    ),
    Mutation(
        spoil=integration_misspelt,
        stack=ROUTER,
        account="the integration is refused when it is created",
        source="https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-integrations.html",
        caught_by=(model("enum"),),
    ),
    Mutation(
        spoil=payload_of_no_version,
        stack=ROUTER,
        account="the integration is refused when it is created",
        source="https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-integrations.html",
        caught_by=(ours("payload_version"),),
    ),
    Mutation(
        spoil=authorization_misspelt,
        stack=ROUTER,
        account="the route is refused when it is created",
        source="https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-integrations.html",
        caught_by=(model("enum"),),
    ),
)
