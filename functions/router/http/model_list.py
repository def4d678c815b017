"""The list of models in the shape of OpenAI's API, extended with tiers and deployed versions.

https://platform.openai.com/docs/api-reference/models/object
"""

import logging
from typing import Any

from contracts.prediction import PredictRequest
from contracts.routes import Cascade, Route, Target
from functions.router.answering.answers import Answering
from functions.router.deciding.rules import Case
from functions.router.targets.drift import Watched, is_withdrawn
from functions.router.targets.release_registry import Registry, Row, find

# Of a watch, what is for callers.
OF_WATCH = ("samples", "disagreed", "evidence", "withdrawn")
log = logging.getLogger("turnout.router")


def describe(route: Route, registry: Registry, answering: Answering) -> dict[str, Any]:
    """Describe one model; if the registry cannot be read, `deployed` is null and the rest is still answered."""
    rows = _rows(route.model, registry)
    case = answering.case(PredictRequest(inputs=()), route)
    tiers = [{**_tier(target, rows), **_known(case, target)} for target in route.targets.values()]
    return {
        "id": route.model,
        "object": "model",
        "created": max((tier["deployed_at"] or 0 for tier in tiers), default=0),
        "owned_by": "turnout",
        "task": route.task,
        "labels": list(route.labels),
        "dimensions": route.dimensions or None,
        "shorter_dimensions": list(route.shorter_dimensions),
        "cascade": _cascade(route.cascade, answering.attempts.drift(route)),
        "split": route.split or None,
        "chat": route.chat,
        "tiers": tiers,
    }


def _cascade(cascade: Cascade | None, watch: Watched | None) -> dict[str, Any] | None:
    """Return what is promised of a cascade, and what was seen since.

    `bound` is null where it does not hold: for the reasons in `doubts`, or since the threshold was withdrawn.
    """
    if cascade is None:
        return None
    return {
        "threshold": cascade.threshold,
        "parameters": cascade.parameters,
        "test_rows": cascade.rows,
        "kept": cascade.kept,
        "lost": cascade.lost,
        "bound": None if cascade.doubts or is_withdrawn(watch) else cascade.bound,
        "assurance": cascade.assurance,
        "doubts": list(cascade.doubts),
        "off": cascade.off or None,
        "drift": watch and {name: watch.get(name) for name in OF_WATCH},
    }


def _tier(target: Target, rows: list[Row] | None) -> dict[str, Any]:
    row = find(rows or [], target.tier)
    if row and row["version"] != target.version:
        row = None
    return {
        "tier": target.tier,
        "version": target.version,
        "precision": target.precision,
        "proved": target.proved,
        "max_inputs": target.max_inputs,
        "max_chars": target.max_chars,
        "max_tokens": target.max_tokens,
        "deployed": None if rows is None else row is not None,
        "deployed_at": int(row["deployed_at"]) if row else None,
        "serving": None if rows is None else _serving(find(rows, target.tier)),
    }


def _serving(row: Row | None) -> list[dict[str, Any]]:
    """Return the versions that requests get, with their shares: of a canary two."""
    if row is None:
        return []
    canary = row.get("canary")
    share = int(canary["percent"]) if canary else 0
    released = {"version": row["version"], "percent": 100 - share}
    return [released, {"version": canary["version"], "percent": share}] if canary else [released]


def _known(case: Case, target: Target) -> dict[str, Any]:
    """Return what this instance of the router knows of a tier: its state, and the time of an input by its tokens."""
    state = case.state(target)
    return {
        "state": state.shown(case.now, target.wake_s),
        "latency_ms": {str(tokens): ms for tokens, ms in target.latency_ms},
        "observed_token_ms": state.token_ms and round(state.token_ms, 4),
    }


def _rows(model: str, registry: Registry) -> list[Row] | None:
    try:
        return registry.releases(model)
    except Exception:
        # The route table alone describes the models, so a registry that fails must not fail the request.
        log.exception("the registry cannot be read")
        return None
