"""Labels of a text or of a pair of texts."""

from contracts.api.json_schema import NUMBER, STRING, array, described, integer, obj
from contracts.api.task_api import (
    TEXT,
    Example,
    Parameter,
    TaskApi,
    either,
    object_of,
    output,
)

TOP_K = Parameter(
    name="top_k",
    description="Also list this many labels as `top`, the likeliest first; at most as many as the model has.",
    schema=integer(1),
)
# Only a multi-label model has a threshold: the labels of others exclude each other.
THRESHOLD = Parameter(
    name="threshold",
    description="The lowest score of a label in `labels`; for multi-label models only.",
    schema={**NUMBER, "minimum": 0, "maximum": 1},
    default=0.5,
)

SCORE = described(NUMBER, "From 0 to 1; any number by a regression model.")
SCORED = obj({"label": STRING, "score": SCORE})

API = TaskApi(
    summary="Label a text or a pair of texts",
    input=either(TEXT, object_of("text", "text_pair")),
    parameters=(TOP_K, THRESHOLD),
    output=output(
        {
            "label": described(
                STRING,
                "The likeliest label; of a regression model the one with the largest number.",
            ),
            "score": SCORE,
            "top": described(
                array(SCORED),
                "The `top_k` likeliest labels; all numbers of a regression model with several outputs.",
            ),
            "labels": described(
                array(SCORED), "All labels that reach `threshold`; multi-label models only."
            ),
        },
        optional=("top", "labels"),
    ),
    example=Example(
        request={
            "inputs": [
                "where on earth is my parcel",
                {"text": "I want my money back.", "text_pair": "The parcel came too late."},
            ],
            "parameters": {"top_k": 2},
        },
        outputs=(
            {
                "label": "order-status",
                "score": 0.93,
                "top": [
                    {"label": "order-status", "score": 0.93},
                    {"label": "refund-status", "score": 0.04},
                ],
                "tokens": 8,
                "truncated": False,
            },
            {
                "label": "refund-status",
                "score": 0.88,
                "top": [
                    {"label": "refund-status", "score": 0.88},
                    {"label": "order-status", "score": 0.07},
                ],
                "tokens": 14,
                "truncated": False,
            },
        ),
    ),
)
