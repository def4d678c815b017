"""The registry of releases, written by the deployment itself: one parameter of Systems Manager per model and tier.

Requests are routed by routes.json in the router's image (`contracts/routes.py`). The registry is read by `GET
/v1/models`, and where an endpoint of the table is not there yet.
"""

import json
import logging
from typing import Any, Protocol

from contracts.routes import Target
from contracts.tasks import Tier

log = logging.getLogger("turnout.router")
Row = dict[str, Any]


class Registry(Protocol):
    """A source of releases; it raises whatever its store raises."""

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
        names = [f"{self.path}/{model}/{tier}" for tier in Tier]
        found = self.client.get_parameters(Names=names)["Parameters"]
        return [
            {**json.loads(one["Value"]), "deployed_at": int(one["LastModifiedDate"].timestamp())}
            for one in found
        ]


def released_address(registry: Registry, target: Target) -> str:
    """Return the address of the last release of a target's model and tier; empty if none can be read."""
    try:
        row = find(registry.releases(target.model), target.tier)
    except Exception:
        # Whatever the store raises: the caller's request has failed already, and its own error says more.
        log.exception("the registry cannot be read")
        return ""
    return str(row["address"]) if row else ""


def find(rows: list[Row], tier: Tier) -> Row | None:
    """Return the release of a tier, of which a model has one at most."""
    return next((row for row in rows if row["tier"] == tier), None)
