"""Facts that a bare graph lacks, whatever its format: the keys of models.toml that give them, and their checks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from build.sources.huggingface.tokenizer import TokenizerFile
from build.sources.source import Unusable
from build.sources.token_limit import token_limit
from build.tasks.description import FamilyName, TaskDescription
from contracts.problems import Code, Problem
from contracts.specs import SourceOptions
from functions.inference.token_batches import INPUTS

# Names of the padding token; BERT, RoBERTa and T5 tokenizers are often saved without `padding`.
PADDING = ("[PAD]", "<pad>", "<PAD>")


def check_task(task: TaskDescription, kind: str, *families: FamilyName) -> None:
    """Raise Unusable for a task of other families, or one that needs more than the keys of a bare graph."""
    if not task.graph.bare or task.family not in families:
        raise Unusable(
            Code.TASK_UNSUPPORTED,
            f"{task.name} cannot be built from {kind}; save the model as a Hugging Face folder",
        )


def missing_facts(
    task: TaskDescription, tokenizer: Path | None, options: SourceOptions, limit: int | None
) -> list[Problem]:
    """Return a problem for each fact that neither the graph nor `models.toml` states."""
    problems = []
    if tokenizer is None or not tokenizer.is_file():
        message = "a bare graph has no tokenizer; name a tokenizer.json as `tokenizer`"
        problems.append(Problem(code=Code.TOKENIZER_MISSING, message=message))
    if task.min_labels and not (options.labels or task.default_labels):
        message = "a bare graph has no labels; give `labels`, in the order of its outputs"
        problems.append(Problem(code=Code.LABELS_MISSING, message=message))
    if task.graph.binary and len(options.labels) == 1:
        message = (
            f"`labels` names {options.labels[0]} alone; a bare graph of one output is the probability of the second of "
            "two labels"
        )
        problems.append(Problem(code=Code.LABELS_MISMATCH, message=message))
    if limit is None:
        message = "a bare graph does not say how many tokens it reads; give max_tokens in its tier's table"
        problems.append(Problem(code=Code.LENGTH_MISSING, message=message))
    return problems


def check_inputs(
    names: Sequence[str], given: Sequence[str], known: Sequence[str] = tuple(INPUTS)
) -> None:
    """Raise Unusable unless every input is known by its name, or by the key `inputs`."""
    meanings = given or names
    complete = len(meanings) == len(names) == len(set(meanings))
    if not complete or not set(meanings) <= set(known):
        raise Unusable(
            Code.INPUTS_UNSUPPORTED,
            f"its inputs are {', '.join(names)}; say what they are, in this order, as `inputs`, "
            f"each one of {', '.join(known)}",
        )


def sizes(shapes: Sequence[Sequence[int]]) -> tuple[bool, int]:
    """Return whether a graph takes one text at a time, and its fixed number of tokens.

    A size of 0 is open, in `shapes` as in the result. Raise Unusable unless the inputs are [batch, tokens].
    """
    if any(len(shape) != 2 for shape in shapes):
        axes = " and ".join(str(list(shape)) for shape in shapes)
        raise Unusable(
            Code.INPUTS_UNSUPPORTED,
            f"its inputs are {axes}, but texts make [batch, tokens]; export it for those",
        )
    batches, lengths = ({s[axis] for s in shapes if s[axis] > 0} for axis in (0, 1))
    # A batch of 1 is served text by text. Any other fixed batch would have to be filled with texts that nobody sent.
    if batches - {1}:
        raise Unusable(
            Code.INPUTS_UNSUPPORTED,
            f"takes {max(batches)} texts at a time, no more and no fewer; export it with an open batch, or with 1",
        )
    if len(lengths) > 1:
        short, long = sorted(lengths)[:2]
        raise Unusable(
            Code.INPUTS_UNSUPPORTED,
            f"its inputs want {short} tokens and {long} tokens; export it for one length",
        )
    return bool(batches), max(lengths, default=0)


def check_labels(
    task: TaskDescription, width: int, labels: Sequence[str], *, paired: bool = False
) -> None:
    """Raise Unusable unless there is a label for each of `width` outputs; 0 is an open width.

    One output may stand for two labels where it is still to be `paired`: it is the probability of the second.
    """
    count = len(labels)
    pair = paired and task.graph.binary and (width, count) == (1, 2)
    if task.min_labels and width and count and width != count and not pair:
        raise Unusable(
            Code.LABELS_MISMATCH,
            f"answers {width} number{'s' * (width > 1)}, but there are {count} labels; "
            "name each of its outputs in `labels`",
        )


def check_axes(task: TaskDescription, shape: Sequence[int], rank: int) -> None:
    """Raise Unusable unless the output's shape has the number of axes that the task's outputs have."""
    if len(shape) != rank:
        raise Unusable(
            Code.OUTPUTS_UNSUPPORTED,
            f"answers {list(shape)}, but {task.name} needs {rank} axes; correct `task`",
        )


def fixed_limit(max_tokens: int | None, length: int) -> int | None:
    """Return how many tokens are read of each text by a graph with inputs of a fixed length; 0 is any.

    None where neither that nor `max_tokens` gives it. Raise Unusable for a larger `max_tokens`.
    """
    return token_limit(max_tokens, [length] if length else [])


def pad_id(tokenizer: TokenizerFile) -> int:
    """Return the id of the padding token: the one under `padding`, one that is named so, or 0."""
    pad, ids = tokenizer.padding.get("pad_id"), tokenizer.vocabulary
    return int(pad) if pad is not None else next((ids[name] for name in PADDING if name in ids), 0)


def fixed_length(tokenizer: TokenizerFile, length: int) -> dict[str, Any]:
    """Return the details that a graph of a fixed length needs: texts are padded on the side that the tokenizer sets."""
    if not length:
        return {}
    left = tokenizer.padding.get("direction") == "Left"
    return {"length": length, **({"pad_left": True} if left else {})}
