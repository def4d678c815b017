"""Bursts in an account of ten functions at once: they meet the stage's 429, and not the gateway's 500.

The router is the real one; the model behind it answers after a while, so that requests take as long as the test says.
"""

import json
import ssl
import threading
import time
from collections import Counter
from http.client import HTTPSConnection
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from contracts.limits import NEW_ACCOUNT_CONCURRENCY
from local.control.data_plane import AccountLimits
from stacks.limits.throttle import Limits, bearable
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.synthesis import KEY, shop
from tests.local.deployments.in_process import Assembly, InProcess

ROUTER, MODEL = "shop-router", "shop-intents-cpu"
CLIENTS, FOR_S, ANSWER_S = 16, 2.0, 0.25
BARE = b'{"message": "Internal Server Error"}'
CODE = f"""
import time
def model(event, context):
    time.sleep(event.get("for_s", {ANSWER_S}))
    outputs = [{{"label": "good", "score": 1.0, "tokens": 1, "truncated": False}}]
    return {{"outputs": outputs, "version": "f00dfeed0000", "elapsed_ms": 1}}
"""


@pytest.fixture(scope="module")
def limits() -> AccountLimits:
    return AccountLimits(concurrency=NEW_ACCOUNT_CONCURRENCY)


@pytest.fixture(scope="module")
def api(local_cloud: LocalCloudClient) -> LocalCloudClient:
    """Deploy the router's stack, and a model that is no stack's."""
    cdk = InProcess(client=local_cloud)
    cdk.bootstrap()
    cdk.deploy_stack(Assembly.read(shop().folder), ROUTER)
    local_cloud.function(MODEL, "model", code=CODE)
    functions = local_cloud.client("lambda")
    version = functions.publish_version(FunctionName=MODEL)["Version"]
    functions.create_alias(FunctionName=MODEL, Name="live", FunctionVersion=version)
    return local_cloud


def throttle(api: LocalCloudClient, limits: Limits) -> None:
    gateway = api.client("apigatewayv2")
    stage = {"ApiId": gateway.get_apis()["Items"][0]["ApiId"], "StageName": "$default"}
    gateway.delete_stage(**stage)
    settings = {"ThrottlingRateLimit": limits.rate, "ThrottlingBurstLimit": limits.burst}
    gateway.create_stage(**stage, AutoDeploy=True, DefaultRouteSettings=settings)


def ask(api: LocalCloudClient, until: float) -> Counter[str]:
    """Ask again and again until that time, by one connection; return the answers by their kind."""
    url = urlsplit(api.cloud.url)
    context = ssl.create_default_context(cafile=str(api.cloud.ca_file))
    connection = HTTPSConnection(str(url.hostname), url.port, context=context, timeout=30)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    body = json.dumps({"inputs": "a", "tier": "cpu"})
    found: Counter[str] = Counter()
    while time.monotonic() < until:
        connection.request("POST", "/v1/models/intents/predict", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        found["bare 500" if text == BARE else str(answer.status)] += 1
    connection.close()
    return found


def answers(api: LocalCloudClient, clients: int, for_s: float) -> Counter[str]:
    """Return the answers to clients that ask without a pause, by their kind."""
    found: list[Counter[str]] = []
    until = time.monotonic() + for_s
    threads = [
        threading.Thread(target=lambda: found.append(ask(api, until))) for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(found, Counter())


def test_bursts_meet_the_stages_429_and_not_the_gateways_500(api: LocalCloudClient) -> None:
    # As many clients as the account bears start all functions, so that what follows finds them warm.
    throttle(api, Limits(rate=1_000, burst=1_000))
    tries = (set(answers(api, NEW_ACCOUNT_CONCURRENCY // 2, 1.0)) for _ in range(20))
    assert any(found == {"200"} for found in tries)
    throttle(api, Limits(rate=50, burst=100))
    before = answers(api, CLIENTS, FOR_S)
    throttle(api, bearable(NEW_ACCOUNT_CONCURRENCY, ANSWER_S))
    after = answers(api, CLIENTS, FOR_S)
    assert before["bare 500"] > 0.1 * before.total()
    assert after["bare 500"] == 0
    assert after["429"] > 0
    # The rate alone is this many, and as many as the bucket holds come first.
    assert after["200"] >= 5


def test_lambda_refuses_what_an_account_may_not_run_at_once(api: LocalCloudClient) -> None:
    functions, refused = api.client("lambda"), list[ClientError]()
    # Long enough for a busy machine to begin all calls before the first has ended.
    call = {"FunctionName": f"{MODEL}:live", "Payload": b'{"for_s": 3}'}

    def invoke() -> None:
        try:
            functions.invoke(**call)["Payload"].read()
        except ClientError as error:
            refused.append(error)

    threads = [threading.Thread(target=invoke) for _ in range(NEW_ACCOUNT_CONCURRENCY + 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    for error in refused:
        assert error.response["Error"] == {
            "Code": "TooManyRequestsException",
            "Message": "Rate Exceeded.",
        }
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 429
