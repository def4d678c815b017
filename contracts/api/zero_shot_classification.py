"""Labels that the request names, which the model was not trained on."""

from contracts.api.json_schema import BOOLEAN, STRING, array, described
from contracts.api.task_api import SCORE, SCORED, TEXT, Example, Parameter, TaskApi, output

# The model is run once for each candidate label, so their number bounds the time of an input.
MAX_CANDIDATES = 256
# The template is repeated for each of them.
MAX_TEMPLATE_CHARS = 1_000
CANDIDATE_LABELS = Parameter(
    name="candidate_labels",
    description="The labels to choose from.",
    schema=array(
        # A label given twice would share its probability with itself.
        {**STRING, "pattern": r"\S"},
        minItems=1,
        maxItems=MAX_CANDIDATES,
        uniqueItems=True,
    ),
    required=True,
    expected=f"a list of 1 to {MAX_CANDIDATES} different labels to choose from",
)
HYPOTHESIS_TEMPLATE = Parameter(
    name="hypothesis_template",
    description="The sentence that a label makes a hypothesis of; `{}` is the place of the label.",
    # Exactly one "{}": none begins before it or after it.
    schema={
        **STRING,
        "pattern": r"^(?:(?!\{\})[\s\S])*\{\}(?:(?!\{\})[\s\S])*$",
        "maxLength": MAX_TEMPLATE_CHARS,
    },
    # The default of transformers' zero-shot-classification pipeline.
    default="This example is {}.",
    expected="a text with one {} in it, the place of the label, "
    f"and at most {MAX_TEMPLATE_CHARS} characters",
)
MULTI_LABEL = Parameter(
    name="multi_label",
    description="Score each label alone, so that several may be right, instead of against the others.",
    schema=BOOLEAN,
    default=False,
)

API = TaskApi(
    summary="Label a text with labels of the request",
    input=TEXT,
    parameters=(CANDIDATE_LABELS, HYPOTHESIS_TEMPLATE, MULTI_LABEL),
    output=output(
        {
            "label": described(STRING, "The likeliest label."),
            "score": SCORE,
            "top": described(array(SCORED), "All candidate labels, the likeliest first."),
        }
    ),
    example=Example(
        request={
            "inputs": ["my card was charged twice"],
            "parameters": {"candidate_labels": ["billing", "delivery"]},
        },
        outputs=(
            {
                "label": "billing",
                "score": 0.97,
                "top": [{"label": "billing", "score": 0.97}, {"label": "delivery", "score": 0.03}],
                "tokens": 24,
                "truncated": False,
            },
        ),
    ),
)
