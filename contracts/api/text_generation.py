"""The continuation of a text; the parameters are named as in Hugging Face's text-generation-inference.

https://huggingface.co/docs/text-generation-inference/reference/api_reference
"""

from contracts.api.chat import CHAT
from contracts.api.json_schema import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    array,
    choice,
    described,
    integer,
)
from contracts.api.task_api import TEXT, Example, Parameter, TaskApi, either, output

MAX_STOPS = 16
# Logits are divided by the temperature, which therefore cannot be 0.
POSITIVE = {**NUMBER, "exclusiveMinimum": 0}

MAX_NEW_TOKENS = Parameter(
    name="max_new_tokens",
    description="The most tokens to generate. The default is the model's own limit for a chat, and for a text if it "
    "is lower.",
    schema=integer(1),
    default=64,
)
DO_SAMPLE = Parameter(
    name="do_sample",
    description="Sample tokens instead of taking the likeliest. Without it, `temperature`, `top_k` or `top_p` turns "
    "sampling on.",
    schema=BOOLEAN,
)
TEMPERATURE = Parameter(
    name="temperature",
    description="Above 1 unlikely tokens become likelier, below 1 less likely.",
    schema=POSITIVE,
    default=1.0,
)
TOP_K = Parameter(
    name="top_k", description="Sample from this many of the likeliest tokens.", schema=integer(1)
)
TOP_P = Parameter(
    name="top_p",
    description="Sample from the fewest tokens that have this probability together.",
    schema={**POSITIVE, "maximum": 1},
    default=1.0,
)
REPETITION_PENALTY = Parameter(
    name="repetition_penalty",
    description="Above 1 tokens that occur in the prompt or the output become less likely.",
    # Logits are multiplied or divided by it, and have to stay finite.
    schema={**NUMBER, "minimum": 1e-9, "maximum": 1e9},
    default=1.0,
)
SEED = Parameter(
    name="seed",
    description="The same seed gives the same text; without one every text is sampled differently.",
    # As in text-generation-inference, whose seeds are unsigned 64-bit numbers.
    schema=integer(0, 2**64 - 1),
)
STOP = Parameter(
    name="stop",
    description="The text ends before the first of these strings.",
    schema=array({**STRING, "minLength": 1}, maxItems=MAX_STOPS),
    default=[],
    expected=f"a list of at most {MAX_STOPS} texts, none of them empty",
)
RETURN_FULL_TEXT = Parameter(
    name="return_full_text",
    description="Put the input in front of the generated text.",
    schema=BOOLEAN,
    default=False,
)
# Each of these turns sampling on, unless `do_sample` says otherwise.
SAMPLING = (TEMPERATURE, TOP_K, TOP_P)
PARAMETERS = (MAX_NEW_TOKENS, DO_SAMPLE, *SAMPLING, REPETITION_PENALTY, SEED, STOP)

OUTPUT = output(
    {
        "generated_text": STRING,
        "finish_reason": described(
            # The first three are those of text-generation-inference.
            choice("eos_token", "stop_sequence", "length", "time"),
            "Why the text ends: the model's end token, a string of `stop`, `max_new_tokens`, or the tier's time.",
        ),
        "generated_tokens": described(INTEGER, "With the end token, if there is one."),
        "confidence": described(
            NUMBER,
            "The geometric mean of the probabilities of these tokens. Not where they were sampled, or cut by the time, "
            "nor by vLLM.",
        ),
    },
    optional=("confidence",),
)

API = TaskApi(
    summary="Continue a text, or answer a chat",
    input=either(TEXT, CHAT),
    parameters=(*PARAMETERS, RETURN_FULL_TEXT),
    output=OUTPUT,
    example=Example(
        request={
            "inputs": ["The train"],
            "parameters": {"max_new_tokens": 32, "temperature": 0.7, "seed": 7, "stop": ["."]},
        },
        outputs=(
            {
                "generated_text": " is late again",
                "finish_reason": "stop_sequence",
                "generated_tokens": 4,
                "tokens": 2,
                "truncated": False,
            },
        ),
    ),
)
