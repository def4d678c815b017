"""Faults of Lambda functions."""

from stacks.rules.document import Document
from tests.stacks.mutants.mutation import (
    CPU,
    ROUTER,
    SNAPSHOT,
    WRITER,
    Mutation,
    first,
    image_function,
    lint,
    model,
    nag,
    ours,
    zip_function,
)

ALIAS, EVENTS = "AWS::Lambda::Alias", "AWS::Lambda::EventInvokeConfig"


def memory_beyond_lambda(stack: Document) -> None:
    image_function(stack)["MemorySize"] = 20_000


def memory_below_lambda(stack: Document) -> None:
    image_function(stack)["MemorySize"] = 64


def model_outlasts_router(stack: Document) -> None:
    image_function(stack)["Timeout"] = 60


def text_outlasts_router(stack: Document) -> None:
    image_function(stack)["Timeout"] = 870


def router_outlasts_gateway(stack: Document) -> None:
    image_function(stack)["Timeout"] = 30


def prober_outlasts_lambda(stack: Document) -> None:
    zip_function(stack)["Timeout"] = 901


def log_made_by_lambda(stack: Document) -> None:
    del image_function(stack)["LoggingConfig"]


def snapshot_kept_started(stack: Document) -> None:
    concurrency = {"ProvisionedConcurrentExecutions": 1}
    first(stack, ALIAS)["ProvisionedConcurrencyConfig"] = concurrency


def snapshot_of_latest(stack: Document) -> None:
    first(stack, ALIAS)["FunctionVersion"] = "$LATEST"


def runtime_at_its_end(stack: Document) -> None:
    zip_function(stack)["Runtime"] = "python3.7"


def runtime_unknown(stack: Document) -> None:
    zip_function(stack)["Runtime"] = "python3.99"


def archive_without_handler(stack: Document) -> None:
    del zip_function(stack)["Handler"]


def image_with_runtime(stack: Document) -> None:
    image_function(stack)["Runtime"] = "python3.13"


def variable_of_lambda(stack: Document) -> None:
    image_function(stack)["Environment"] = {"Variables": {"AWS_REGION": "eu-central-1"}}


def name_of_function_too_long(stack: Document) -> None:
    image_function(stack)["FunctionName"] = "a" * 65


def two_architectures(stack: Document) -> None:
    image_function(stack)["Architectures"] = ["x86_64", "arm64"]


def event_tried_again(stack: Document) -> None:
    del first(stack, EVENTS)["MaximumRetryAttempts"]


def event_kept(stack: Document) -> None:
    queue = "arn:aws:sqs:us-east-1:123456789012:failures"
    first(stack, EVENTS)["DestinationConfig"] = {"OnFailure": {"Destination": queue}}


MUTATIONS = (
    Mutation(
        spoil=event_tried_again,
        stack=ROUTER,
        account="a sample that fails is run twice more, with the texts of a caller, on a tier that has too much to do",
        source="https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html",
        caught_by=(ours("event_kept"),),
    ),
    Mutation(
        spoil=event_kept,
        stack=ROUTER,
        account="texts of callers stay in a queue",
        source="https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html",
        caught_by=(ours("event_kept"),),
    ),
    Mutation(
        spoil=memory_beyond_lambda,
        stack=CPU,
        account="the function is refused when it is created",
        source="https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html",
        caught_by=(ours("function_memory"),),
    ),
    Mutation(
        spoil=memory_below_lambda,
        stack=CPU,
        account="the function is refused when it is created",
        source="https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html",
        caught_by=(ours("function_memory"), lint("E3034"), model("range")),
    ),
    Mutation(
        spoil=model_outlasts_router,
        stack=CPU,
        account="the router gives up first, and the model runs on for nobody",
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html",
        caught_by=(ours("function_timeout"),),
    ),
    Mutation(
        spoil=text_outlasts_router,
        stack=WRITER,
        account="with the starts of both functions the front gives up first, and the text is written for nobody",
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html",
        caught_by=(ours("function_timeout"),),
    ),
    Mutation(
        spoil=router_outlasts_gateway,
        stack=ROUTER,
        account="callers get the gateway's bare 503 in place of the router's 504",
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html",
        caught_by=(ours("function_timeout"),),
    ),
    Mutation(
        spoil=prober_outlasts_lambda,
        stack=ROUTER,
        account="the function is refused when it is created",
        source="https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html",
        caught_by=(lint("E3717"),),
    ),
    Mutation(
        spoil=log_made_by_lambda,
        stack=CPU,
        account="Lambda makes a log group that never expires and outlives the stack",
        source="https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html",
        caught_by=(ours("function_log"),),
    ),
    Mutation(
        spoil=snapshot_kept_started,
        stack=SNAPSHOT,
        account="the alias is refused, and the stack rolls back",
        source="https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html",
        caught_by=(ours("snapshot_kept_started"),),
    ),
    Mutation(
        spoil=snapshot_of_latest,
        stack=SNAPSHOT,
        account="every start is a cold one: $LATEST has no snapshot",
        source="https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html",
        caught_by=(ours("snapshot_unpublished"),),
    ),
    Mutation(
        spoil=runtime_at_its_end,
        stack=ROUTER,
        account="the function is refused when it is created",
        source="https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html",
        caught_by=(lint("E2531"), nag("AwsSolutions-L1")),
    ),
    Mutation(
        spoil=runtime_unknown,
        stack=ROUTER,
        account="the function is refused when it is created",
        source="https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html",
        caught_by=(lint("E3030"), model("enum"), nag("AwsSolutions-L1")),
    ),
    Mutation(
        spoil=archive_without_handler,
        stack=ROUTER,
        account="the function is refused when it is created",
        source="https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html",
        caught_by=(lint("W2533"),),
    ),
    Mutation(
        spoil=image_with_runtime,
        stack=CPU,
        account="the function is refused when it is created",
        source="https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html",
        caught_by=(lint("E3685"), nag("AwsSolutions-L1")),
    ),
    Mutation(
        spoil=variable_of_lambda,
        stack=CPU,
        account="the function is refused when it is created",
        source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html",
        caught_by=(lint("E3663"),),
    ),
    Mutation(
        spoil=name_of_function_too_long,
        stack=CPU,
        account="the function is refused when it is created",
        source="https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html",
        caught_by=(lint("E3031"),),
    ),
    Mutation(
        spoil=two_architectures,
        stack=CPU,
        account="the function is refused when it is created",
        source="https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html",
        caught_by=(lint("E3032"), model("length")),
    ),
)
