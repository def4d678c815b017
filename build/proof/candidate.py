"""A candidate: one artefact of several made from a model, measured so that the build can choose the one to ship."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from build.evaluation.comparison import Figures
from build.evaluation.metrics import Outputs
from build.proof.timing import UNTIMED, Timing
from build.recipes.recipe import Recipe
from contracts.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sealed folder made by a recipe: its figures against the reference, and its cost.

    `problems` are those of the gate and of the portability check; it may ship if there are none. `outputs` are those
    on the rows, `expected_ms` is the mean latency of the user's rows. `shorter` are the figures of its vectors by the
    fewer dimensions that they are cut to.
    """

    folder: Path
    recipe: Recipe
    manifest: Manifest
    figures: Figures
    problems: tuple[str, ...]
    outputs: tuple[Outputs, ...] = ()
    timing: Timing = UNTIMED
    expected_ms: float = 0.0
    shorter: Mapping[int, Figures] = field(default_factory=dict)

    @property
    def divergence(self) -> float:
        """Return 1 minus the candidate's similarity to the reference, which is 1 at most."""
        return 1 - self.figures.similarity
