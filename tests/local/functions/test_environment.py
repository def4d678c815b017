"""INIT is limited in the local cloud as Lambda limits it: for some seconds, and then once more by the timeout."""

from pathlib import Path

import pytest

from tests.fixtures.local_cloud_client import LocalCloudClient

# INIT takes the seconds that a file's next line says, so that the first time can differ from the second.
CODE = """
import pathlib, time
place = pathlib.Path({place!r})
first, _, rest = place.read_text().partition(" ")
place.write_text(rest)
time.sleep(float(first))

def echo(event, context):
    return {{"left": rest, "remaining_s": context.get_remaining_time_in_millis() / 1000}}
"""


@pytest.fixture(scope="module")
def init_s() -> float:
    return 3.0


def function(cloud: LocalCloudClient, folder: Path, seconds: str, *, timeout_s: int) -> str:
    """Make a function whose INITs take those seconds, one after the other."""
    place = folder / "seconds"
    place.write_text(seconds, "utf-8")
    code = CODE.format(place=str(place))
    return cloud.function(folder.name.replace("_", "-"), "echo", code=code, timeout_s=timeout_s)


def test_init_is_not_a_part_of_the_requests_timeout(
    local_cloud: LocalCloudClient, tmp_path: Path
) -> None:
    name = function(local_cloud, tmp_path, "1.2 9 9", timeout_s=1)
    answer, error = local_cloud.invoke(name, {})
    assert error is None
    assert answer["left"] == "9 9"
    assert 0.5 < answer["remaining_s"] <= 1


def test_init_that_takes_too_long_is_run_once_more_within_the_timeout(
    local_cloud: LocalCloudClient, tmp_path: Path
) -> None:
    name = function(local_cloud, tmp_path, "30 3.2 9", timeout_s=20)
    answer, error = local_cloud.invoke(name, {})
    assert error is None
    assert answer["left"] == "9"
    # The second INIT, longer than the first may be, is a part of it.
    assert answer["remaining_s"] < 16.9
    log = (local_cloud.cloud.state / f"logs/{name}.log").read_text("utf-8")
    assert log.count("INIT_REPORT Init Duration: 3000.00 ms Phase: init Status: timeout") == 1


def test_init_that_takes_too_long_twice_is_a_timeout(
    local_cloud: LocalCloudClient, tmp_path: Path
) -> None:
    name = function(local_cloud, tmp_path, "30 30 0", timeout_s=1)
    answer, error = local_cloud.invoke(name, {})
    assert (error, answer["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    # The next request gets an environment of its own.
    assert local_cloud.invoke(name, {})[1] is None
