"""The head of an encoder's task: the texts of an input, and the output from the graph's results for them.

The result of a whole text is a plain list, because for the few numbers of a request Python is faster than numpy, whose
calls have a fixed cost. The results of its tokens are an array [tokens, width].
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Encoding, Tokenizer

from contracts.api.task_api import Parameter, TaskApi, input_problems, parameter_problems
from contracts.http_errors import RequestProblem
from contracts.limits import LAMBDA_PAYLOAD_BYTES
from contracts.manifest import Manifest
from contracts.prediction import Input, PredictRequest

Parameters = Mapping[str, Any]
Output = dict[str, Any]
Text = str | tuple[str, str]

# 1,024 bytes are left for what stands around the outputs: keys, version and elapsed time.
ANSWER_BYTES = LAMBDA_PAYLOAD_BYTES - 1024
# The JSON of an output besides its scores or floats: keys, token count, the flag, the best label's score.
OUTPUT_BYTES = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The values that an output may depend on besides the results."""

    manifest: Manifest
    parameters: Parameters
    tokenizer: Tokenizer


def one_text(value: Input, parameters: Parameters, manifest: Manifest) -> list[Text]:
    """Return the input itself; a pair if it is an object of `text` and `text_pair`."""
    if isinstance(value, str):
        return [value]
    return [(value["text"], value["text_pair"])]


def unlimited(manifest: Manifest, parameters: Parameters) -> None:
    """Return None: the size of the answer is known only once it is there, and is checked then."""
    return None


def no_problems(request: PredictRequest, manifest: Manifest) -> list[RequestProblem]:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskHead:
    """One task of an encoder.

    A request is checked against `api`; `parameters` are those of a model, where they depend on its manifest, and
    `more_problems` is what no schema describes. `max_outputs` says how many outputs always fit one answer, `texts` are
    those that one input needs the model to run, `postprocess` makes the output from their results, and `finish` may
    compare the outputs of a request. The graph's output has `output_rank` axes, the last of them `output_width` long.
    A long text is truncated by the strategy `truncation`, or with `windows` run whole in overlapping windows.
    """

    api: TaskApi
    postprocess: Callable[[Input, Sequence[Encoding], Sequence[Any], Context], Output]
    output_width: Callable[[Manifest], int]
    parameters: Callable[[Manifest], Sequence[Parameter]] | None = None
    more_problems: Callable[[PredictRequest, Manifest], list[RequestProblem]] = no_problems
    max_outputs: Callable[[Manifest, Parameters], int | None] = unlimited
    texts: Callable[[Input, Parameters, Manifest], list[Text]] = one_text
    finish: Callable[[list[Output]], None] | None = None
    output_rank: int = 2
    truncation: str = "longest_first"
    windows: bool = False

    def problems(self, request: PredictRequest, manifest: Manifest) -> list[RequestProblem]:
        """Return every problem of a request to a model with that manifest."""
        known = self.parameters(manifest) if self.parameters else self.api.parameters
        return [
            *input_problems(request.inputs, self.api.input),
            *self.more_problems(request, manifest),
            *parameter_problems(request.parameters, known),
        ]


def softmax(logits: Sequence[float]) -> list[float]:
    """Return the softmax of a row, without overflow."""
    highest = max(logits)
    powers = [math.exp(logit - highest) for logit in logits]
    total = math.fsum(powers)
    return [power / total for power in powers]


def sigmoid(logit: float) -> float:
    """Return the sigmoid of a logit, without overflow."""
    power = math.exp(-abs(logit))
    return 1 / (1 + power) if logit >= 0 else power / (1 + power)
