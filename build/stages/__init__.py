"""The stages of a build: each takes a workspace and returns one with its results added.

Tiers of one source share the source's stages. Results are kept in a cache, so that an interrupted build continues where
it was.
"""

from build.stages.candidates import candidates_stage
from build.stages.choosing import choose_stage, timing_stage
from build.stages.source import export_and_reference_stage, reading_stage, rows_stage
from build.stages.workspace import Stage

SOURCE_STAGES: tuple[tuple[str, Stage], ...] = (
    ("exporting to ONNX, running the reference", export_and_reference_stage),
    ("checking the rows", rows_stage),
    ("checking the reading", reading_stage),
)
TIER_STAGES: tuple[tuple[str, Stage], ...] = (
    ("making candidates", candidates_stage),
    ("timing candidates", timing_stage),
    ("choosing", choose_stage),
)
