"""The line of log of generated texts: what tells that texts have changed, without a second answer."""

from collections.abc import Mapping, Sequence
from typing import Any


def log_texts(outputs: Sequence[Mapping[str, Any]], log_fields: dict[str, Any]) -> None:
    """Log how many tokens a tier has written, and how sure it is of its texts on average, where it says so."""
    if not all("generated_tokens" in output for output in outputs):
        return
    log_fields["tokens"] = sum(output["generated_tokens"] for output in outputs)
    told = [output["confidence"] for output in outputs if "confidence" in output]
    if told:
        log_fields["confidence"] = round(sum(told) / len(told), 4)
