"""Limits that AWS sets, each with its source, and ours derived from them, such as the timeouts that nest."""

from collections.abc import Mapping, Sequence
from typing import Any

# API Gateway HTTP API quotas: payload 10 MB, integration timeout 30 s, neither can be raised.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
GATEWAY_BODY_BYTES = 10 * 1024 * 1024
GATEWAY_TIMEOUT_S = 30
# Our integration timeout: the CDK accepts no more, and the gateway has one second left to answer.
INTEGRATION_TIMEOUT_S = 29

# Lambda: 6 MB each way for synchronous invocations, memory 128 to 10,240 MB, one vCPU per 1,769 MB.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LAMBDA_PAYLOAD_BYTES = 6 * 1024 * 1024
# A response that is streamed, on the same page.
LAMBDA_STREAM_BYTES = 200 * 1024 * 1024
# Of an event that nobody waits for: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
LAMBDA_EVENT_BYTES = 1024 * 1024
LAMBDA_MEMORY_MB = (128, 10_240)
LAMBDA_MB_PER_VCPU = 1_769

# The functions that run at once in an account, of which new ones have ten.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
NEW_ACCOUNT_CONCURRENCY = 10
# The router waits for the model's function.
ENVIRONMENTS_PER_REQUEST = 2

# The account's default quotas in a region, which no stage can exceed: requests a second, and at once.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
STAGE_RATE, STAGE_BURST = 10_000, 5_000

# Lambda's page of limits above: an image has at most 10 GB uncompressed, with all of its layers.
LAMBDA_IMAGE_BYTES = 10 * 10**9
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
LAMBDA_INIT_S = 10

# SageMaker real-time endpoints take a body of at most 6 MB (`BodyBlob` in the service model).
SAGEMAKER_PAYLOAD_BYTES = 6 * 1024 * 1024
# A container has 60 s for a whole response, and 8 minutes for one that it streams.
# https://docs.aws.amazon.com/sagemaker/latest/dg/hosting-faqs.html
SAGEMAKER_WHOLE_S, SAGEMAKER_STREAM_S = 60, 8 * 60
# Of either, what is under way when a text has to end may take this long.
SAGEMAKER_SPARE_S = 10

# Timeouts nest, so that every caller outlasts the one it calls:
# tier (at most MAX_TIER_TIMEOUT_S) < the router's wait for it < the router itself < the gateway < `turnout call`.
# A model that writes may take longer: its callers have the front of streams.
# A function's start (INIT) comes before its own timeout begins, and within that of its caller: the router's own start,
# the connection, the start of the tier, its run and the answer together fit into the gateway's time
# (`stacks/timeouts.py`).
MAX_TIER_TIMEOUT_S = 25
BACKEND_SLACK_S = 1
# A connection within a region takes milliseconds.
CONNECT_TIMEOUT_S = 1
SPARE_S = 1
# Measured at 1,024 MB: 1.4 s (docs/images.md).
ROUTER_INIT_S = 2
ROUTER_TIMEOUT_S = INTEGRATION_TIMEOUT_S - ROUTER_INIT_S
# The time of a request that names no shorter one: the router answers it before its own time is over.
REQUEST_S = ROUTER_TIMEOUT_S - 0.5
ROUTER_MEMORY_MB = 1_024

# A REST API's integration that streams has 15 minutes, as have Lambda's functions; a stream may pause for 5. No quota
# raises either.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html
STREAM_INTEGRATION_TIMEOUT_S = 900
STREAM_ROUTER_TIMEOUT_S = STREAM_INTEGRATION_TIMEOUT_S - 2 * ROUTER_INIT_S
STREAM_REQUEST_S = STREAM_ROUTER_TIMEOUT_S - 0.5
STREAM_IDLE_S = 300
# After so long without a word the router sends one that means nothing, before the gateway gives up.
STREAM_QUIET_S = STREAM_IDLE_S - 60
# The longest times of a model that writes. On the CPU tier they are what the front of streams leaves after the starts
# of both functions, in whole minutes.
MAX_CPU_WRITING_S = (
    (STREAM_ROUTER_TIMEOUT_S - CONNECT_TIMEOUT_S - LAMBDA_INIT_S - SPARE_S) // 60 * 60
)
MAX_GPU_WRITING_S = SAGEMAKER_STREAM_S - SAGEMAKER_SPARE_S
CLIENT_TIMEOUT_S = GATEWAY_TIMEOUT_S + 5
# Behind the front of streams, that of the longest silence.
STREAM_CLIENT_TIMEOUT_S = STREAM_IDLE_S + 5

# A JSON number made from a float32 is at most 23 characters, and two go to the separator.
FLOAT_JSON_BYTES = 25


def asked_dimensions(parameters: Mapping[str, Any], all_: int, fewer: Sequence[int]) -> int:
    """Return the dimensions of the vectors that a request asks for; all of them where it asks for no known ones."""
    asked = parameters.get("dimensions")
    return next((number for number in fewer if number == asked), all_)


def vectors_per_answer(dimensions: int) -> int:
    """Return how many vectors of that many floats always fit one Lambda response as JSON."""
    # 1,024 bytes are left for what stands around the outputs, and 128 for the keys, token count and flag of each.
    return (LAMBDA_PAYLOAD_BYTES - 1024) // (dimensions * FLOAT_JSON_BYTES + 128)
