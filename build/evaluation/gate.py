"""The gate: the problem of a metric below its threshold, and the error of a model without a candidate that passes.

Thresholds are in `contracts.specs.Gate`, from the `gate` of models.toml. Each class of figures checks itself in its
`problems` (`agreement.py`, `embedding_similarity.py`, `perplexity.py`), which `build/stages/candidates.py` calls.
"""

from collections.abc import Mapping, Sequence

from build.errors import GateFailed
from contracts.specs import Gate


def below_threshold(name: str, candidate: float, reference: float, gate: Gate) -> list[str]:
    """Return the problem of a metric that is below the gate's share of the reference's, if it is.

    The threshold of a correlation below 0 is as far below it as that of one above 0 would be.
    """
    ratio = gate.min_accuracy_ratio
    threshold = reference * ratio if reference >= 0 else reference * (2 - ratio)
    if candidate >= threshold:
        return []
    return [
        f"{name} {candidate:.4f} is below {threshold:.4f} "
        f"(min_accuracy_ratio {ratio:g} of the reference's {reference:.4f})"
    ]


def gate_failed(name: str, rows: int, problems: Mapping[str, Sequence[str]]) -> GateFailed:
    """Return the error of an artefact that cannot be built; `problems` are those of each candidate, by its recipe."""
    lines = [
        f"{name}: no candidate answers enough like the reference on {rows} rows:",
        *(f"  {recipe}: {'; '.join(found)}" for recipe, found in problems.items()),
        "loosen `gate` if you can accept these figures, or look at the rows",
    ]
    return GateFailed("\n".join(lines))
