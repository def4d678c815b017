"""The watches of cascades, as the sampling function has written them into the shared rows."""

from collections.abc import Callable, Mapping
from typing import Any

from contracts.cascade.drift import drift_key
from contracts.routes import Route, Routes
from contracts.states.rows import Row

Watched = Mapping[str, Any]
# Returns what is known of the watch of a route's cascade, None where nothing is.
Drift = Callable[[Route], Watched | None]


def unwatched(route: Route) -> Watched | None:
    """Return that nothing is known of any watch."""
    return None


def drift_keys(routes: Routes) -> list[str]:
    """Return the keys of all watches."""
    return [key for route in routes.models.values() if (key := _key(route))]


def watched(read: Callable[[str], Row | None], route: Route) -> Watched | None:
    """Return the document of the watch of a route's cascade; None where none was written yet."""
    key = _key(route)
    row = read(key) if key else None
    return row.document if row else None


def is_withdrawn(watch: Watched | None) -> bool:
    return watch is not None and watch.get("withdrawn") is True


def _key(route: Route) -> str:
    cascade = route.cascade
    return drift_key(route.model, cascade.digest) if cascade and not cascade.off else ""
