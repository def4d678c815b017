"""The servers of a test, which end with it."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from botocore.config import Config

from tests.fixtures.fake_aws import client


@pytest.fixture(autouse=True, scope="session")
def clients() -> None:
    """Make a client of each service: the first one reads its service model, which would count as the tier's time."""
    for service in ("lambda", "sagemaker-runtime"):
        client("http://127.0.0.1:1", service, Config())


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened
