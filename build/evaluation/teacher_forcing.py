"""Teacher forcing: a model that generates text is run along given tokens, and predicts each of them in turn.

Once two models have generated different tokens, nothing that follows can be compared. Along the same tokens all can.
"""

from collections.abc import Sequence
from typing import Any

from build.evaluation.metrics import Outputs
from contracts.prediction import PredictRequest
from functions.inference.engine import Engine

# Keys of an output under teacher forcing, each a list with one value for each token: the tokens themselves, the
# likeliest token at each place, and the log-probability of the given one. Golden files hold them by these names.
FORCED_TOKENS, IDS, LOG_PROBABILITIES = "along", "ids", "log_probabilities"
TEACHER_FORCED = (FORCED_TOKENS, IDS, LOG_PROBABILITIES)


def forced_tokens_of(reference: Outputs) -> Sequence[int] | None:
    """Return the tokens that candidates are run along, None for a model that generates no text."""
    tokens: Sequence[int] | None = reference[0].get(FORCED_TOKENS)
    return tokens


def answer(
    engine: Engine, request: PredictRequest, forced_tokens: Sequence[int] | None
) -> list[dict[str, Any]]:
    """Return the engine's outputs for a request, by teacher forcing along `forced_tokens` if there are any."""
    if forced_tokens is None:
        return list(engine.predict(request).outputs)
    # Only the reference of a generator has tokens to go along, so this model has the method.
    model: Any = engine.model
    ids, log_probabilities = model.teacher_forced(request.inputs[0], forced_tokens)
    return [{FORCED_TOKENS: list(forced_tokens), IDS: ids, LOG_PROBABILITIES: log_probabilities}]
