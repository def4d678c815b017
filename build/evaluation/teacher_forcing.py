"""How an engine is asked a row: a model that writes is led along a text, and asked at each place how it would go on.

Once two models have written different words, nothing that follows can be compared; led along the same words, all can.
"""

from collections.abc import Sequence
from typing import Any

from build.evaluation.metrics import Outputs
from contracts.prediction import PredictRequest
from functions.inference.engine import Engine

ALONG, IDS, LOG_PROBABILITIES = "along", "ids", "log_probabilities"
# What an answer has one of for each token that the model was led along.
TEACHER_FORCED = (ALONG, IDS, LOG_PROBABILITIES)


def path_of(original: Outputs) -> Sequence[int] | None:
    """The tokens that candidates are led along, where the original's answer has such."""
    found: Sequence[int] | None = original[0].get(ALONG)
    return found


def answer(
    engine: Engine, request: PredictRequest, along: Sequence[int] | None
) -> list[dict[str, Any]]:
    """The engine's outputs for a row; with `along`, the token that it finds likeliest before each of those, and how
    likely it finds that one."""
    if along is None:
        return list(engine.predict(request).outputs)
    model: Any = engine.model
    ids, log_probabilities = model.teacher_forced(str(request.inputs[0]), along)
    return [{ALONG: list(along), IDS: ids, LOG_PROBABILITIES: log_probabilities}]
