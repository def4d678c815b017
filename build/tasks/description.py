"""The description of a task: everything that the build has to know of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from build.evaluation.comparison import Comparison
from build.evaluation.rows import Row, RowFormat
from contracts.problems import Problem
from contracts.tasks import Task

# Facts of one model that its manifest holds for the serving code, such as the id of its mask token.
Details = Mapping[str, Any]


class FamilyName(StrEnum):
    """The families of models, each prepared, quantized and run in its own way (see `build.families`)."""

    ENCODER = "encoder"
    CAUSAL = "causal"
    SEQ2SEQ = "seq2seq"
    SCORER = "scorer"
    WORD_VECTORS = "word-vectors"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """The facts of a saved model that its details are made of: its labels, and parsed files of its folder.

    `sentence_transformers` is config_sentence_transformers.json, `vocabulary` has the id of every token. A file that is
    not there is empty.
    """

    labels: tuple[str, ...]
    config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    sentence_transformers: Mapping[str, Any] = field(default_factory=dict)
    vocabulary: Mapping[str, int]


def no_problems(facts: ModelFacts) -> list[Problem]:
    """Return no problem: the task takes every model of its architectures."""
    return []


def no_details(facts: ModelFacts) -> dict[str, Any]:
    """Return no details: the serving code needs none."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformersModel:
    """The models of a task in the transformers library.

    The name in config.json's `architectures` ends in one of those here; there is none if transformers has no models for
    the task. `export_task` is optimum's name of the exported graph, `export_as` that of a model whose details decide; a
    family of generators has its own. `problems` checks a model, and `details` are for the code that serves it.
    """

    architectures: tuple[str, ...] = ()
    export_task: str = ""
    export_as: Callable[[Details], str] | None = None
    problems: Callable[[ModelFacts], list[Problem]] = no_problems
    details: Callable[[ModelFacts], dict[str, Any]] = no_details


def no_head(graph: Any, details: Details) -> None:
    """Leave the graph as it is: its output is what the serving code reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphOutputs:
    """The outputs of a task's graph as users export it, and the change to the one output that is served.

    `names` are the outputs, and each has `rank` axes. `bare` means that a graph without a config can be built, from the
    keys of models.toml alone. A graph may end in one of `removable_activations`, which the serving code applies itself;
    with `multi_label`, a sigmoid means labels that do not exclude each other. With `binary`, one number may stand for
    two labels: the logit of the second. With `pooled`, vectors of tokens are pooled to one of the text. `add_head`
    changes an exported ONNX graph in place.
    """

    names: tuple[str, ...] = ("logits",)
    rank: int = 2
    bare: bool = False
    removable_activations: tuple[str, ...] = ()
    multi_label: bool = False
    binary: bool = False
    pooled: bool = False
    add_head: Callable[[Any, Details], None] = no_head


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLabels:
    """The labels of a task's answers: all that are `known`, given the model's and the rows, and those `of` one."""

    known: Callable[[Sequence[str], Sequence[Row]], Iterable[str]]
    of: Callable[[Any], Iterable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDescription:
    """One task.

    `rows` is the format of its labelled rows, and `comparison` what the gate decides by, `regression` of models that
    answer with numbers instead. A model has at least `min_labels` labels, 0 if the task has none; `default_labels` are
    those of a bare graph that names none. With `one_text`, an input may be one text of any length, so that latency can
    be measured at any number of tokens.
    """

    name: Task
    family: FamilyName
    rows: RowFormat
    comparison: Comparison
    regression: Comparison | None = None
    answer_labels: AnswerLabels | None = None
    transformers: TransformersModel = TransformersModel()
    graph: GraphOutputs = GraphOutputs()
    min_labels: int = 0
    default_labels: tuple[str, ...] = ()
    one_text: bool = False

    def comparison_of(self, details: Details) -> Comparison:
        """Return the comparison of a model with those details."""
        return self.regression if self.regression and "regression" in details else self.comparison
