"""The time that a target is expected to take for a request, from its tokens and what was measured of the target."""

from contracts.prediction import PredictRequest
from contracts.routes import Route, Target
from functions.router.targets.health import TargetState

MAX_NEW_TOKENS = "max_new_tokens"


def tokens_of(chars: int, inputs: int, route: Route) -> float:
    """Return the estimated tokens of all inputs; the router has no tokenizer, so they are told from the characters.

    Without a ratio that the build has counted, every character is taken for a token, which few tokenizers exceed.
    """
    return max(chars / (route.chars_per_token or 1.0), float(inputs))


def expected_ms(target: Target, state: TargetState, inputs: int, tokens: float) -> float | None:
    """Return the expected milliseconds on a target; None if nothing was measured of it.

    The inputs of a request are taken to be of the same length, and to run one after the other, as the build times them.
    What the target's own answers have shown counts where the build has measured nothing.
    """
    if not target.latency_ms:
        return None if state.token_ms is None else state.token_ms * tokens
    return inputs * _interpolated(target.latency_ms, min(tokens / inputs, target.max_tokens))


def writing_ms(target: Target, inputs: int, tokens: float, request: PredictRequest) -> float | None:
    """Return the milliseconds until a target has written all that is asked; None if it or the measurements are unknown.

    The build times whole requests by the tokens that they write, so that reading the prompt is in it.
    """
    asked = request.parameters.get(MAX_NEW_TOKENS)
    # The tier refuses what is no number. How much a chat without a limit writes is known to nobody.
    if type(asked) is not int or not target.latency_ms:
        return None
    return inputs * asked * _interpolated(target.latency_ms, tokens / inputs)


def _interpolated(profile: tuple[tuple[int, float], ...], tokens: float) -> float:
    """Return the milliseconds of an input: between the two lengths around it, beyond the last in proportion."""
    shorter = profile[0]
    if tokens <= shorter[0]:
        return shorter[1]
    for longer in profile[1:]:
        if tokens <= longer[0]:
            share = (tokens - shorter[0]) / (longer[0] - shorter[0])
            return shorter[1] + share * (longer[1] - shorter[1])
        shorter = longer
    return shorter[1] * tokens / shorter[0]
