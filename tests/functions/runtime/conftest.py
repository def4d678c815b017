"""A Runtime API over HTTP on loopback."""

import os
from collections.abc import Iterator

import pytest

from images.runtime_api import Handler, RuntimeApi


@pytest.fixture(scope="module")
def server() -> Iterator[RuntimeApi]:
    api = RuntimeApi()
    yield api
    api.close()


@pytest.fixture
def api(server: RuntimeApi) -> Iterator[RuntimeApi]:
    """Return the Runtime API, which a test may have misbehave."""
    yield server
    server.server.RequestHandlerClass = Handler
    os.environ.pop("_X_AMZN_TRACE_ID", None)
