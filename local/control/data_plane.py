"""The data plane as the control plane sees it: hosts of functions and containers, behind one seam."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from local.control.placement import Readings
from local.metrics.alarms import Alarms
from local.permissions.access import Access

ACCOUNT = "123456789012"
# The route that takes every request: no stack of ours has another.
DEFAULT_ROUTE = "$default"


class Functions(Protocol):
    """A host of functions; `function` is moto's own record of one version."""

    def invoke(self, function: Any, payload: bytes) -> "Invocation": ...

    def stream(self, function: Any, payload: bytes) -> "Iterator[bytes | StreamEnd] | None": ...

    def prepare(self, function: Any) -> None: ...

    def forget(self, function_arn: str) -> None: ...


class Containers(Protocol):
    """A host of inference components' containers."""

    def start(
        self,
        component: str,
        image_uri: str,
        environment: dict[str, str],
        wait_s: int,
        *,
        logs: bool,
        weights: Callable[[Path], None] | None,
    ) -> None: ...

    def stop(self, component: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """The account's limits: functions at once, instances of each type that endpoints may have, and AWS's own capacity.

    New accounts have a concurrency of 10 and no instance with a GPU; without `instances`, there is no limit.
    """

    concurrency: int = 1_000
    instances: int | None = None
    has_capacity: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The result of an invocation: payload, error flag, and the end of the log; or that it was throttled."""

    payload: bytes
    error: bool
    log: str
    is_throttled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """The end of a function's streamed response: its error as JSON, empty if it has none, and the end of the log."""

    error: bytes
    log: str


@dataclass(slots=True, kw_only=True)
class DataPlane:
    """The data plane of the running cloud. moto's state is global, so there is one per process."""

    endpoint_url: str
    api_endpoint: Callable[[str], str]
    functions: Functions
    containers: Containers
    access: Access
    alarms: Alarms
    limits: AccountLimits = field(default_factory=AccountLimits)
    # Seconds of the Unix epoch; tests have a clock of their own, so that nobody waits for a copy to sleep or to wake.
    clock: Callable[[], float] = time.time
    # A number from 0 to 1, by which a request to an alias of two versions gets one of them.
    random: Callable[[], float] = random.random
    readings: Readings = field(default_factory=Readings)
    # Seconds until a component has a copy again, for those of which a script of faults says so.
    wake_s: dict[str, float] = field(default_factory=dict)
    # CodeDeploy's, by their names.
    deployment_groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)


_current: list[DataPlane] = []


def use(plane: DataPlane | None) -> None:
    """Set the data plane that new resources belong to."""
    _current[:] = [plane] if plane else []


def is_used() -> bool:
    """Return true while a local cloud runs: what moto does for tests alone has no data plane."""
    return bool(_current)


def data_plane() -> DataPlane:
    return _current[0]
