"""Functions in the local cloud fail as Lambda's do, and the next request is served all the same."""

import threading

import pytest

from contracts.limits import LAMBDA_PAYLOAD_BYTES
from tests.fixtures.local_cloud_client import LocalCloudClient, zipped


@pytest.fixture(scope="module")
def echo(local_cloud: LocalCloudClient) -> str:
    return local_cloud.function("echo", "echo")


def test_an_environment_that_is_warm_is_used_again(
    local_cloud: LocalCloudClient, echo: str
) -> None:
    (first, _), (second, _) = (local_cloud.invoke(echo, {"n": n}) for n in (1, 2))
    assert (first["event"], second["event"]) == ({"n": 1}, {"n": 2})
    assert (first["pid"], first["calls"] + 1) == (second["pid"], second["calls"])
    assert first["request"] != second["request"]


def test_requests_at_once_get_environments_of_their_own(local_cloud: LocalCloudClient) -> None:
    name = local_cloud.function("slow", "slow", timeout_s=10)
    before = len(local_cloud.cloud.processes())
    threads = [
        threading.Thread(target=local_cloud.invoke, args=(name, {"seconds": 1})) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(local_cloud.cloud.processes()) == before + 3


def failed(local_cloud: LocalCloudClient, name: str, event: object) -> tuple[str, str]:
    """Return the kind and the words of a failure."""
    answer, error = local_cloud.invoke(name, event)
    assert error == "Unhandled"
    return answer["errorType"], answer["errorMessage"]


def test_a_function_that_takes_too_long_is_ended(local_cloud: LocalCloudClient) -> None:
    name = local_cloud.function("late", "slow", timeout_s=1)
    kind, message = failed(local_cloud, name, {"seconds": 30})
    assert (kind, message.split("Error: ")[1]) == (
        "Sandbox.Timedout",
        "Task timed out after 1.00 seconds",
    )
    assert local_cloud.invoke(name, {"seconds": 0}) == ("done", None)


def test_a_function_that_exits_is_told_and_started_again(local_cloud: LocalCloudClient) -> None:
    name = local_cloud.function("crash", "crash")
    for _ in range(2):
        kind, message = failed(local_cloud, name, {})
        assert (kind, message.split("Error: ")[1]) == (
            "Runtime.ExitError",
            "Runtime exited with error: exit status 3",
        )


def test_a_function_that_needs_more_memory_than_it_has_is_killed(
    local_cloud: LocalCloudClient,
) -> None:
    name = local_cloud.function("greedy", "greedy", memory_mb=192, timeout_s=20)
    kind, message = failed(local_cloud, name, {"mb": 256})
    assert (kind, message.split("Error: ")[1]) == (
        "Runtime.ExitError",
        "Runtime exited with error: signal: killed",
    )
    assert local_cloud.invoke(name, {"mb": 16}) == (2, None)


def test_a_function_that_cannot_be_imported_says_why(local_cloud: LocalCloudClient) -> None:
    name = local_cloud.function("broken", "echo", code="import nothing_of_this_name")
    kind, message = failed(local_cloud, name, {})
    assert kind == "Runtime.ImportModuleError"
    assert "nothing_of_this_name" in message


def test_an_exception_is_answered_with_its_trace_as_lambda_does(
    local_cloud: LocalCloudClient,
) -> None:
    answer, error = local_cloud.invoke(local_cloud.function("fails", "fails"), {})
    assert (error, answer["errorType"], answer["errorMessage"]) == (
        "Unhandled",
        "ValueError",
        "what went wrong",
    )
    assert answer["stackTrace"]


def test_an_answer_over_six_megabytes_is_refused(local_cloud: LocalCloudClient) -> None:
    name = local_cloud.function("large", "large")
    kind, message = failed(local_cloud, name, {"size": LAMBDA_PAYLOAD_BYTES})
    assert kind == "Function.ResponseSizeTooLarge"
    assert str(LAMBDA_PAYLOAD_BYTES) in message
    assert local_cloud.invoke(name, {"size": 3}) == ("xxx", None)


def test_a_request_over_six_megabytes_does_not_reach_the_function(
    local_cloud: LocalCloudClient, echo: str
) -> None:
    api = local_cloud.client("lambda")
    with pytest.raises(api.exceptions.ClientError, match="payload is too large") as caught:
        local_cloud.invoke(echo, "x" * LAMBDA_PAYLOAD_BYTES)
    response = caught.value.response
    assert response["Error"]["Code"] == "RequestTooLargeException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_a_function_sees_its_own_environment_and_nothing_of_the_developers(
    local_cloud: LocalCloudClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "my-company")
    monkeypatch.setenv("SECRET_OF_MINE", "1")
    name = local_cloud.function("environment", "environment", memory_mb=320, WANTED="yes")
    found, _ = local_cloud.invoke(name)
    assert (found["WANTED"], found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) == ("yes", "320")
    assert (found["AWS_LAMBDA_FUNCTION_NAME"], found["_HANDLER"]) == (
        "environment",
        "handlers.environment",
    )
    assert found["AWS_ENDPOINT_URL"] == local_cloud.cloud.endpoint_url
    assert {"AWS_PROFILE", "SECRET_OF_MINE", "HOME", "VIRTUAL_ENV"} & set(found) == set()


def test_a_function_can_import_what_its_lock_holds_and_nothing_else(
    local_cloud: LocalCloudClient,
) -> None:
    name = local_cloud.function("imports", "imports")
    assert local_cloud.invoke(
        name, ["boto3", "awslambdaric", "pytest", "torch", "moto", "turnout", "contracts"]
    )[0] == {
        "boto3": True,
        "awslambdaric": True,
        "pytest": False,
        "torch": False,
        "moto": False,
        "turnout": False,
        "contracts": False,
    }


def test_new_code_is_run_by_the_next_request_of_a_new_version(
    local_cloud: LocalCloudClient,
) -> None:
    api = local_cloud.client("lambda")
    name = local_cloud.function("versions", "echo", code="def echo(event, context): return 1")
    first = api.publish_version(FunctionName=name)["Version"]
    api.update_function_code(
        FunctionName=name, ZipFile=zipped("def echo(event, context): return 2")
    )
    second = api.publish_version(FunctionName=name)["Version"]
    api.create_alias(FunctionName=name, Name="live", FunctionVersion=second)
    assert [local_cloud.invoke(f"{name}:{q}", {})[0] for q in (first, second, "live")] == [1, 2, 2]
