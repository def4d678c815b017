"""The registry of releases, written by the deployment itself: one parameter of Systems Manager per model and tier.

Requests are routed by routes.json in the router's image (`contracts/routes.py`). The registry is read by `GET
/v1/models`, and where an endpoint of the table is not there yet.
"""

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from time import monotonic
from typing import Any, Protocol

from contracts.names import CANARY
from contracts.routes import Route, Target
from contracts.tasks import Tier

log = logging.getLogger("turnout.router")
Row = dict[str, Any]
# Systems Manager answers in milliseconds, and its client is made in less than this.
PATIENCE_S = 1.0


class Registry(Protocol):
    """A source of releases; it raises whatever its store raises.

    The row of a tier that a canary is under way on has its `canary`: another version, with its share of requests.
    """

    def releases(self, model: str) -> list[Row]: ...


class ParameterRegistry:
    """The parameters below a path, as `contracts.names.release_parameter` names them."""

    def __init__(self, path: str, make_client: Any) -> None:
        self.path, self.make_client = path, make_client
        self.client: Any = None

    def releases(self, model: str) -> list[Row]:
        """Return the releases of a model's tiers, in one call."""
        if self.client is None:
            self.client = self.make_client()
        # It leaves out the names of tiers without a release.
        # https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
        names = {f"{self.path}/{model}/{tier}": tier for tier in Tier}
        canaries = {f"{name}{CANARY}": tier for name, tier in names.items()}
        found = {
            one["Name"]: one
            for one in self.client.get_parameters(Names=[*names, *canaries])["Parameters"]
        }
        rows = {
            names[name]: {
                **json.loads(one["Value"]),
                "deployed_at": int(one["LastModifiedDate"].timestamp()),
            }
            for name, one in found.items()
            if name in names
        }
        for name, tier in canaries.items():
            canary = json.loads(found[name]["Value"]) if name in found else {}
            # Once it has all requests it is the released one.
            if (
                tier in rows
                and canary.get("version", rows[tier]["version"]) != rows[tier]["version"]
            ):
                rows[tier]["canary"] = canary
        return [*rows.values()]


class Addresses:
    """The addresses of released targets, each read by a thread that is waited for `patience_s` since it began.

    A registry that hangs must not take the time of every request to a tier that sleeps.
    """

    def __init__(self, registry: Registry, patience_s: float = PATIENCE_S) -> None:
        self.registry, self.patience_s = registry, patience_s
        self.reading: dict[tuple[str, Tier], tuple[Future[str], float]] = {}
        self.lock = threading.Lock()

    def of(self, target: Target) -> str:
        """Return the address of the last release of a target's model and tier; empty if none can be read in time."""
        found, begun = self._begun(target)
        try:
            return found.result(max(begun + self.patience_s - monotonic(), 0))
        except TimeoutError:
            return ""

    def _begun(self, target: Target) -> tuple[Future[str], float]:
        """Return the reading that is under way, and when it began; begin one where there is none."""
        key = target.model, target.tier
        with self.lock:
            if key not in self.reading or self.reading[key][0].done():
                self.reading[key] = Future(), monotonic()
                args = target, self.reading[key][0]
                threading.Thread(target=self._read, args=args, daemon=True).start()
            return self.reading[key]

    def _read(self, target: Target, found: Future[str]) -> None:
        row = find(_rows(self.registry, target.model), target.tier)
        found.set_result(str(row["address"]) if row else "")


def own_address(registry: Registry, target: Target, version: str) -> str:
    """Return the address of one version alone, which a canary has beside another; empty if none can be read."""
    for facts in _versions(find(_rows(registry, target.model), target.tier)):
        if facts.get("version") == version:
            return str(facts.get("own_address", ""))
    return ""


def with_released(registry: Registry, route: Route, version: str) -> Route:
    """Return the route with a target of that version if one is released, or a canary, and its table has another.

    A table is of the newest deployment, of which the stacks of the models come later, and may fail.
    """
    if any(target.version == version for target in route.targets.values()):
        return route
    rows = _rows(registry, route.model)
    for tier, target in route.targets.items():
        if any(facts.get("version") == version for facts in _versions(find(rows, tier))):
            return replace(route, targets={**route.targets, tier: replace(target, version=version)})
    return route


def _versions(row: Row | None) -> Iterator[Row]:
    """Yield the facts of each version that serves."""
    if row:
        yield row
        yield row.get("canary", {})


def _rows(registry: Registry, model: str) -> list[Row]:
    try:
        return registry.releases(model)
    except Exception:
        # Whatever the store raises: the request goes on, or fails, as it would without the registry.
        log.exception("the registry cannot be read")
        return []


def find(rows: list[Row], tier: Tier) -> Row | None:
    """Return the release of a tier, of which a model has one at most."""
    return next((row for row in rows if row["tier"] == tier), None)
