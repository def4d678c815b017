"""The embedding of a text."""

from collections.abc import Sequence
from dataclasses import replace

from contracts.api.json_schema import NUMBER, array, described, integer
from contracts.api.task_api import PROMPT_NAME, TEXT, Example, Parameter, TaskApi, output

# A model's own numbers take the place of the schema.
DIMENSIONS = Parameter(
    name="dimensions",
    description="The dimensions of each vector: all of the model's, or fewer that `dimensions` in models.toml lists.",
    schema=integer(1),
)
API = TaskApi(
    summary="Compute the embedding of a text",
    input=TEXT,
    parameters=(PROMPT_NAME, DIMENSIONS),
    output=output(
        {
            "embedding": described(
                array(NUMBER), "As many numbers as `dimensions` says, or the model has."
            )
        }
    ),
    example=Example(
        request={"inputs": ["A guitar is a musical instrument."]},
        outputs=({"embedding": [0.036, -0.012], "tokens": 9, "truncated": False},),
    ),
)


def dimensions_of(all_: int, fewer: Sequence[int]) -> Parameter:
    """Return the parameter of a model with so many dimensions, of which `fewer` were proved as well."""
    known = [all_, *fewer]
    listed = " or ".join(map(str, known))
    return replace(
        DIMENSIONS,
        description=f"The dimensions of each vector: {listed}.",
        schema={"enum": known},
        expected=f"{listed}; fewer dimensions have to be listed as `dimensions` of the model in "
        "models.toml, and proved by a build",
    )
