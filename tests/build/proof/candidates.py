"""A candidate of a tiny artefact, the rows that it was run on, and the name of a processor it may go to."""

from pathlib import Path
from typing import Any

from build.evaluation.agreement import AnswerFigures
from build.evaluation.rows import Row
from build.proof.candidate import Candidate
from build.recipes.recipe import Recipe
from contracts.manifest import read_manifest
from contracts.prediction import PredictRequest
from functions.inference.engine import Engine

GRAVITON2 = "arm64 with NEON dot products (Graviton2)"
ROWS = [Row(request=PredictRequest(inputs=(t,))) for t in ("lovely", "awful", "fine fine", "no")]


def candidate(folder: Path, recipe: Recipe, outputs: Any = None) -> Candidate:
    figures = AnswerFigures(
        metric="accuracy",
        reference="original",
        metric_original=1,
        metric_built=1,
        difference_low=0,
        difference_high=0,
        agreement=1,
        agreement_low=0,
        agreement_high=1,
    )
    answered = outputs or [Engine.load(folder).predict(row.request).outputs for row in ROWS]
    return Candidate(
        folder=folder,
        recipe=recipe,
        manifest=read_manifest(folder),
        figures=figures,
        problems=(),
        outputs=tuple(answered),
    )
