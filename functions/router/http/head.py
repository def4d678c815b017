"""The head of an answer: what gave it, and why."""

from typing import Any

from contracts.tasks import Tier
from functions.router.answering.answers import Answer


def head(given: Answer) -> dict[str, Any]:
    """Return what an answer says of itself."""
    said: dict[str, Any] = {
        "version": given.answer.version,
        "tier": given.target.tier,
        "reason": given.reason,
    }
    if given.degraded:
        said["degraded"] = True
    if not given.target.proved:
        said["proved"] = False
    if given.second:
        said["escalated"] = {
            "inputs": list(given.escalated),
            "tier": Tier.GPU,
            "version": given.second.version,
            "elapsed_ms": given.second.elapsed_ms,
        }
    return said


def ours(given: Answer) -> dict[str, Any]:
    """Return what an answer in OpenAI's dialect has of the router."""
    said = {**head(given), "elapsed_ms": given.answer.elapsed_ms}
    return {"system_fingerprint": given.answer.version, "turnout": said}


def log_stand_in(stands_in: bool, degraded: bool, log_fields: dict[str, Any]) -> None:
    """Log that an answer is of another target than the one that the rules want, if it is."""
    if stands_in:
        # Numbers, since they are metrics.
        log_fields |= {"fallback": 1, "degraded": int(degraded)}
