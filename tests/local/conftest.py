"""The running local cloud that the modules beside this one share the definition of: each module starts its own."""

from collections.abc import Iterator

import pytest

from contracts.limits import GATEWAY_TIMEOUT_S, LAMBDA_INIT_S
from local.cloud import Cloud
from local.control.data_plane import AccountLimits
from tests.fixtures.local_cloud_client import LocalCloudClient


@pytest.fixture(scope="module")
def gateway_timeout_s() -> float:
    """Return the gateway's timeout in seconds; a module may define a shorter one."""
    return GATEWAY_TIMEOUT_S


@pytest.fixture(scope="module")
def init_s() -> float:
    """Return the seconds that INIT may take; a module may define fewer."""
    return LAMBDA_INIT_S


@pytest.fixture(scope="module")
def limits() -> AccountLimits:
    """Return the limits of the account; a module may define lower ones."""
    return AccountLimits()


@pytest.fixture(scope="module")
def local_cloud(
    tmp_path_factory: pytest.TempPathFactory,
    gateway_timeout_s: float,
    init_s: float,
    limits: AccountLimits,
) -> Iterator[LocalCloudClient]:
    folder = tmp_path_factory.mktemp("cloud")
    with Cloud(folder, gateway_timeout_s=gateway_timeout_s, init_s=init_s, limits=limits) as cloud:
        yield LocalCloudClient(cloud)
