"""Requests in the words of vLLM, which AWS's container takes behind /invocations: OpenAI's, with more sampling keys.

A text is a completion, and a chat is one of its messages. Each input is a call of its own, which vLLM runs together
with all others, so that its tokens are counted. Every answer is a stream, so that what is written by the deadline is
had.

https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from contracts.api.task_api import parameter_problems
from contracts.api.text_generation import (
    API,
    DO_SAMPLE,
    MAX_NEW_TOKENS,
    REPETITION_PENALTY,
    RETURN_FULL_TEXT,
    SEED,
    STOP,
    TEMPERATURE,
    TOP_K,
    TOP_P,
)
from contracts.http_errors import InvalidInput, ModelFailed
from contracts.prediction import Input, PredictRequest, TierAnswer
from contracts.routes import Target
from contracts.streaming import Delta
from functions.router.targets.vllm_stream import Text, documents

# The call of one input, which returns the bytes of vLLM's answer as they come; closing them ends the call.
Open = Callable[[dict[str, Any]], Generator[bytes, None, None]]
Clock = Callable[[], float]
# The parameters that vLLM calls by the same name.
SAME = (TEMPERATURE, TOP_K, TOP_P, REPETITION_PENALTY, STOP)
# vLLM's seeds are signed.
SEEDS = 2**63
# botocore keeps ten connections.
AT_ONCE = 8
# The counts of tokens in every chunk: one that is cut off has no last one.
OPTIONS = {"include_usage": True, "continuous_usage_stats": True}


def predict(
    target: Target, request: PredictRequest, open_: Open, clock: Clock = time.monotonic
) -> TierAnswer:
    """Return the answer to every input; raise a ServingError, or what `open_` raises.

    The milliseconds are those of the calls, with their way there and back: vLLM tells none of its own.
    """
    check(request)
    begun, until = clock(), _until(request, clock)

    def output(given: Input) -> dict[str, Any]:
        text = Text(before=_before(request, given))
        with closing(open_(body_of(request, given))) as chunks:
            for _ in _pieces(text, chunks, until, clock):
                pass
        return text.output()

    with ThreadPoolExecutor(max_workers=min(len(request.inputs), AT_ONCE)) as threads:
        outputs = tuple(threads.map(output, request.inputs))
    return _answer(target, outputs, clock() - begun)


def stream(
    target: Target, request: PredictRequest, open_: Open, clock: Clock = time.monotonic
) -> Generator[Delta | TierAnswer, None, None]:
    """Yield the text of one input after the other as it is written, and last the answer; raise as `predict` does."""
    check(request)
    begun, until = clock(), _until(request, clock)
    outputs = []
    for index, given in enumerate(request.inputs):
        text = Text(before=_before(request, given))
        with closing(open_(body_of(request, given))) as chunks:
            if text.before:
                yield Delta(index=index, text=text.before)
            for piece in _pieces(text, chunks, until, clock):
                yield Delta(index=index, text=piece)
        outputs.append(text.output())
    yield _answer(target, tuple(outputs), clock() - begun)


def check(request: PredictRequest) -> None:
    """Raise InvalidInput for parameters that no model which writes takes: a tier of ours would say so itself."""
    if problems := parameter_problems(request.parameters, API.parameters):
        first = problems[0]
        raise InvalidInput(f"{first.pointer}: {first.detail}", problems=problems)


def body_of(request: PredictRequest, given: Input) -> dict[str, Any]:
    """Return the body of the call for one input."""
    parameters = request.parameters
    asked = {"prompt": given} if isinstance(given, str) else given
    body: dict[str, Any] = {
        **asked,
        "stream": True,
        "stream_options": OPTIONS,
        **{one.name: parameters[one.name] for one in SAME if one.name in parameters},
        **request.passed,
    }
    if MAX_NEW_TOKENS.name in parameters or isinstance(given, str):
        # The limit of a chat is the model's own.
        body["max_tokens"] = MAX_NEW_TOKENS.value(parameters)
    if SEED.name in parameters:
        body["seed"] = parameters[SEED.name] % SEEDS
    if parameters.get(DO_SAMPLE.name) is False:
        body["temperature"] = 0
    return body


def _before(request: PredictRequest, given: Input) -> str:
    """Return the text in front of the generated one: a prompt where the request wants it there."""
    return given if isinstance(given, str) and RETURN_FULL_TEXT.value(request.parameters) else ""


def _until(request: PredictRequest, clock: Clock) -> float:
    return clock() + request.deadline_ms / 1e3 if request.deadline_ms else float("inf")


def _pieces(text: Text, chunks: Iterator[bytes], until: float, clock: Clock) -> Iterator[str]:
    """Yield what a stream brings, until it ends or the time is over; raise ModelFailed if it breaks off."""
    for document in documents(chunks):
        if piece := text.take(document):
            yield piece
        if clock() >= until:
            text.cut()
            return
    if not text.finish_reason:
        raise ModelFailed("the gpu tier's stream broke off before its end")


def _answer(target: Target, outputs: tuple[Mapping[str, Any], ...], elapsed_s: float) -> TierAnswer:
    return TierAnswer(
        outputs=tuple(map(dict, outputs)),
        version=target.version,
        elapsed_ms=round(elapsed_s * 1e3, 3),
    )
