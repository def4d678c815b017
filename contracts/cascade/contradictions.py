"""The metric by which two versions of a CPU tier are compared: how often the GPU tier contradicts each.

Each request counts once, with the share of its compared answers that the GPU tier contradicts: which version a request
gets is drawn for the request, so that the answers in it are not independent.
"""

NAMESPACE, METRIC = "Turnout", "contradicted"
CANARY, RELEASED = "canary", "released"
# The answers that are compared: all of a request that is shadowed, or those that a threshold has kept.
ALL, KEPT = "all", "kept"


def dimensions(deployment: str, model: str, *, of: str, canary: str, by: str) -> dict[str, str]:
    """Return the dimensions of the metric: `canary` is the newest version, `by` says whether it or another answered."""
    return {"deployment": deployment, "model": model, "of": of, "canary": canary, "by": by}
