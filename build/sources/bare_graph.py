"""What a bare graph does not say of itself, whatever it was saved as: who has to say it, and what follows from it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from build.sources.huggingface.tokenizer import TokenizerFile
from build.sources.source import Unusable
from contracts.problems import Code, Problem
from contracts.specs import Hints
from contracts.tasks import Task
from functions.inference.tokens import INPUTS

# Tasks that need to be told no more than a bare graph's keys can say.
TASKS = {
    Task.TEXT_CLASSIFICATION: "labels",
    Task.TOKEN_CLASSIFICATION: "labels",
    Task.TEXT_RANKING: "",
    Task.QUESTION_ANSWERING: "",
    Task.FEATURE_EXTRACTION: "",
    Task.LANGUAGE_MODEL_SCORING: "",
}
# Tasks whose outputs have names, and how many of them at least.
LABELLED = {
    Task.TEXT_CLASSIFICATION: 2,
    Task.TOKEN_CLASSIFICATION: 2,
    Task.ZERO_SHOT_CLASSIFICATION: 2,
    Task.TEXT_RANKING: 1,
}
# What the token is called that fills a text up, by those who do not say so under `padding`.
PADDING = ("[PAD]", "<pad>", "<PAD>")


def check_task(task: Task, kind: str) -> None:
    if task not in TASKS:
        raise Unusable(
            Code.TASK_UNSUPPORTED,
            f"{task} cannot be built from {kind}; save the model as a Hugging Face folder",
        )


def missing_hints(
    task: Task, tokenizer: Path | None, hints: Hints, limit: int | None
) -> list[Problem]:
    """Return a problem for each fact that neither the graph nor `models.toml` states."""
    problems = []
    if tokenizer is None or not tokenizer.is_file():
        message = "a bare graph has no tokenizer; name a tokenizer.json as `tokenizer`"
        problems.append(Problem(code=Code.TOKENIZER_MISSING, message=message))
    if TASKS[task] == "labels" and not hints.labels:
        message = "a bare graph has no labels; give `labels`, in the order of its outputs"
        problems.append(Problem(code=Code.LABELS_MISSING, message=message))
    if limit is None:
        message = "a bare graph does not say how many tokens it reads; give max_tokens in its tier's table"
        problems.append(Problem(code=Code.LENGTH_MISSING, message=message))
    return problems


def check_inputs(
    names: Sequence[str], said: Sequence[str], known: Sequence[str] = tuple(INPUTS)
) -> None:
    """Each input is known by its name, or by what is said of it."""
    meant = said or names
    if len(meant) != len(names) or not set(meant) <= set(known) or len(set(meant)) < len(meant):
        raise Unusable(
            Code.INPUTS_UNSUPPORTED,
            f"its inputs are {', '.join(names)}; say what they are, in this order, as `inputs`, "
            f"each one of {', '.join(known)}",
        )


def sizes(shapes: Sequence[Sequence[int]]) -> tuple[bool, int]:
    """Whether a graph takes one text at a time, and how many tokens exactly; 0 is any number, as in `shapes`.

    Raises Unusable where inputs of these shapes cannot be filled with texts.
    """
    if any(len(shape) != 2 for shape in shapes):
        axes = " and ".join(str(list(shape)) for shape in shapes)
        raise Unusable(
            Code.INPUTS_UNSUPPORTED,
            f"its inputs are {axes}, but texts make [batch, tokens]; export it for those",
        )
    batches, lengths = ({s[axis] for s in shapes if s[axis] > 0} for axis in (0, 1))
    if batches - {1}:
        raise Unusable(
            Code.INPUTS_UNSUPPORTED,
            f"takes {max(batches)} texts at a time, no more and no fewer; export it with an open batch, or with 1",
        )
    if len(lengths) > 1:
        few, many = sorted(lengths)[:2]
        raise Unusable(
            Code.INPUTS_UNSUPPORTED,
            f"its inputs want {few} tokens and {many} tokens; export it for one length",
        )
    return bool(batches), max(lengths, default=0)


def check_labels(task: Task, width: int, labels: Sequence[str], *, paired: bool = False) -> None:
    """Each output has its label; 0 is any number. One may stand for two labels where it is still to be `paired`."""
    many = len(labels)
    pair = paired and task is Task.TEXT_CLASSIFICATION and (width, many) == (1, 2)
    if task in LABELLED and width and many and width != many and not pair:
        raise Unusable(
            Code.LABELS_MISMATCH,
            f"answers {width} number{'s' * (width > 1)}, but there are {many} labels; "
            "name each of its outputs in `labels`",
        )


def check_axes(task: Task, shape: Sequence[int], rank: int) -> None:
    if len(shape) != rank:
        raise Unusable(
            Code.OUTPUTS_UNSUPPORTED,
            f"answers {list(shape)}, but {task} needs {rank} axes; correct `task`",
        )


def limit_of(max_tokens: int | None, length: int) -> int | None:
    """The tokens read of each text; None where nobody says it."""
    if length and max_tokens and max_tokens > length:
        raise Unusable(
            Code.LENGTH_INVALID,
            f"reads {length} tokens, but max_tokens asks for {max_tokens}; lower it",
        )
    return max_tokens or length or None


def pad_id(tokenizer: TokenizerFile) -> int:
    """The token that fills a text up: the one under `padding`, one that is called so, or 0."""
    said, known = tokenizer.padding.get("pad_id"), tokenizer.vocabulary
    return int(said) if said is not None else next((known[n] for n in PADDING if n in known), 0)


def fixed_length(tokenizer: TokenizerFile, length: int) -> dict[str, Any]:
    """What the code that serves a graph of that length has to know; texts are filled up on the tokenizer's side."""
    if not length:
        return {}
    left = tokenizer.padding.get("direction") == "Left"
    return {"length": length, **({"pad_left": True} if left else {})}
