"""Functions in the local cloud fail as Lambda's do, and the next request is served all the same."""

import threading

import pytest

from contracts.limits import LAMBDA_PAYLOAD_BYTES
from tests.fixtures.local_cloud import LocalCloudClient, zipped


@pytest.fixture(scope="module")
def echo(lab: LocalCloudClient) -> str:
    return lab.function("echo", "echo")


def test_an_environment_that_is_warm_is_used_again(lab: LocalCloudClient, echo: str) -> None:
    (first, _), (second, _) = (lab.invoke(echo, {"n": n}) for n in (1, 2))
    assert (first["event"], second["event"]) == ({"n": 1}, {"n": 2})
    assert (first["pid"], first["calls"] + 1) == (second["pid"], second["calls"])
    assert first["request"] != second["request"]


def test_requests_at_once_get_environments_of_their_own(lab: LocalCloudClient) -> None:
    name = lab.function("slow", "slow", timeout_s=10)
    before = len(lab.cloud.processes())
    threads = [threading.Thread(target=lab.invoke, args=(name, {"seconds": 1})) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lab.cloud.processes()) == before + 3


def failed(lab: LocalCloudClient, name: str, event: object) -> tuple[str, str]:
    """Return the kind and the words of a failure."""
    answer, error = lab.invoke(name, event)
    assert error == "Unhandled"
    return answer["errorType"], answer["errorMessage"]


def test_a_function_that_takes_too_long_is_ended(lab: LocalCloudClient) -> None:
    name = lab.function("late", "slow", timeout_s=1)
    kind, message = failed(lab, name, {"seconds": 30})
    assert (kind, message.split("Error: ")[1]) == (
        "Sandbox.Timedout",
        "Task timed out after 1.00 seconds",
    )
    assert lab.invoke(name, {"seconds": 0}) == ("done", None)


def test_a_function_that_exits_is_told_and_started_again(lab: LocalCloudClient) -> None:
    name = lab.function("crash", "crash")
    for _ in range(2):
        kind, message = failed(lab, name, {})
        assert (kind, message.split("Error: ")[1]) == (
            "Runtime.ExitError",
            "Runtime exited with error: exit status 3",
        )


def test_a_function_that_needs_more_memory_than_it_has_is_killed(lab: LocalCloudClient) -> None:
    name = lab.function("greedy", "greedy", memory_mb=192, timeout_s=20)
    kind, message = failed(lab, name, {"mb": 256})
    assert (kind, message.split("Error: ")[1]) == (
        "Runtime.ExitError",
        "Runtime exited with error: signal: killed",
    )
    assert lab.invoke(name, {"mb": 16}) == (2, None)


def test_a_function_that_cannot_be_imported_says_why(lab: LocalCloudClient) -> None:
    name = lab.function("broken", "echo", code="import nothing_of_this_name")
    kind, message = failed(lab, name, {})
    assert kind == "Runtime.ImportModuleError"
    assert "nothing_of_this_name" in message


def test_an_exception_is_answered_with_its_trace_as_lambda_does(lab: LocalCloudClient) -> None:
    answer, error = lab.invoke(lab.function("fails", "fails"), {})
    assert (error, answer["errorType"], answer["errorMessage"]) == (
        "Unhandled",
        "ValueError",
        "what went wrong",
    )
    assert answer["stackTrace"]


def test_an_answer_over_six_megabytes_is_refused(lab: LocalCloudClient) -> None:
    name = lab.function("large", "large")
    kind, message = failed(lab, name, {"size": LAMBDA_PAYLOAD_BYTES})
    assert kind == "Function.ResponseSizeTooLarge"
    assert str(LAMBDA_PAYLOAD_BYTES) in message
    assert lab.invoke(name, {"size": 3}) == ("xxx", None)


def test_a_request_over_six_megabytes_does_not_reach_the_function(
    lab: LocalCloudClient, echo: str
) -> None:
    api = lab.client("lambda")
    with pytest.raises(api.exceptions.ClientError, match="payload is too large") as caught:
        lab.invoke(echo, "x" * LAMBDA_PAYLOAD_BYTES)
    response = caught.value.response
    assert response["Error"]["Code"] == "RequestTooLargeException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_a_function_sees_its_own_environment_and_nothing_of_the_developers(
    lab: LocalCloudClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "my-company")
    monkeypatch.setenv("SECRET_OF_MINE", "1")
    name = lab.function("environment", "environment", memory_mb=320, WANTED="yes")
    found, _ = lab.invoke(name)
    assert (found["WANTED"], found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) == ("yes", "320")
    assert (found["AWS_LAMBDA_FUNCTION_NAME"], found["_HANDLER"]) == (
        "environment",
        "handlers.environment",
    )
    assert found["AWS_ENDPOINT_URL"] == lab.cloud.endpoint_url
    assert {"AWS_PROFILE", "SECRET_OF_MINE", "HOME", "VIRTUAL_ENV"} & set(found) == set()


def test_a_function_can_import_what_its_lock_holds_and_nothing_else(lab: LocalCloudClient) -> None:
    name = lab.function("imports", "imports")
    assert lab.invoke(
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


def test_new_code_is_run_by_the_next_request_of_a_new_version(lab: LocalCloudClient) -> None:
    api = lab.client("lambda")
    name = lab.function("versions", "echo", code="def echo(event, context): return 1")
    first = api.publish_version(FunctionName=name)["Version"]
    api.update_function_code(
        FunctionName=name, ZipFile=zipped("def echo(event, context): return 2")
    )
    second = api.publish_version(FunctionName=name)["Version"]
    api.create_alias(FunctionName=name, Name="live", FunctionVersion=second)
    assert [lab.invoke(f"{name}:{q}", {})[0] for q in (first, second, "live")] == [1, 2, 2]
