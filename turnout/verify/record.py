"""The record of what an endpoint answered to the user's rows, and what it says to a user."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

from rich.console import Console

from build.cascade.answers import is_right, metric_of
from build.evaluation.bootstrap import wilson
from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.evaluation.texts import compare_texts
from contracts.manifest import Manifest, file_sha256
from contracts.specs import ModelSpec
from contracts.tasks import WRITING_TASKS, Task

GREEDY = (
    "  asked for the likeliest token at each place: a request that samples gets other texts. Where two tokens are "
    "nearly as likely, what else runs on the GPU decides between them, and the rest of the text with it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """The rows that were asked again, and how many of them had the same text."""

    rows: int
    same: int

    @classmethod
    def of(
        cls, answers: Sequence[Outputs | None], again: Mapping[int, Outputs | None]
    ) -> Self | None:
        """Return the comparison of answers with those to the same rows; None if none was asked again."""
        pairs = [(_text(answers[place]), _text(second)) for place, second in again.items()]
        same = sum(one == other for one, other in pairs)
        return cls(rows=len(pairs), same=same) if pairs else None


def record_of(
    spec: ModelSpec,
    manifest: Manifest,
    rows: Sequence[Row],
    answers: Sequence[Outputs | None],
    refused: Sequence[str],
    repeated: Repeated | None,
    at_least: float,
) -> dict[str, Any]:
    """Return the record: every row is to be answered, and of those that say how, a share as they say."""
    told = [
        (answer, row)
        for row, answer in zip(rows, answers, strict=True)
        if row.answer is not None and answer is not None
    ]
    metric = metric_of(spec.task)
    right = sum(is_right(metric, answer, row) for answer, row in told) if metric else 0
    compared = len(told) if metric else 0
    share = right / compared if compared else None
    return {
        "holds": not refused
        and bool(answers)
        and (at_least == 0 or (share is not None and share >= at_least)),
        "model": spec.name,
        "version": manifest.version,
        "digest": manifest.digest,
        "rows": len(rows),
        "eval": file_sha256(spec.eval),
        "answered": len(rows) - len(refused),
        "refused": list(refused),
        "compared": compared,
        "metric": metric.name if metric else None,
        "as_the_rows_say": share,
        "interval": wilson(right, compared) if compared else None,
        "at_least": at_least,
        "texts": _texts(spec.task, told),
        "asked_again": repeated and _repeated(repeated),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _texts(task: Task, told: Sequence[tuple[Outputs, Row]]) -> dict[str, Any] | None:
    """Return how near generated texts are to those that the rows say; None where nothing is generated or said."""
    if task not in WRITING_TASKS or not told:
        return None
    return asdict(compare_texts([_text(answer) for answer, _ in told], [r.answer for _, r in told]))


def _repeated(found: Repeated) -> dict[str, Any]:
    low, high = wilson(found.same, found.rows)
    return {"rows": found.rows, "same": found.same, "low": low, "high": high}


def _text(outputs: Outputs | None) -> str:
    return str(outputs[0]["generated_text"]) if outputs else ""


def show(record: Mapping[str, Any], console: Console) -> None:
    """Print what was found, what it proves, and what it changes."""

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    say(
        f"{record['model']} {record['version']}: {record['answered']} of {record['rows']} rows answered"
    )
    for line in record["refused"]:
        say(f"  {line}")
    for line in _findings(record):
        say(line)
    lifted = "the next deployment has it as proved" if record["holds"] else "it stays unproved"
    say(lifted)


def _findings(record: Mapping[str, Any]) -> list[str]:
    if not record["compared"]:
        lines = ["  no row says what the answer is, so that nothing was compared"]
    else:
        low, high = record["interval"]
        lines = [
            f"  {record['as_the_rows_say']:.1%} of {record['compared']} as the rows say ({low:.1%} to {high:.1%}), "
            f"at least {record['at_least']:.1%} wanted"
        ]
    if texts := record["texts"]:
        lines.append(
            f"  words in common with what the rows say: F1 {texts['overlap']:.3f} ({texts['overlap_low']:.3f} to "
            f"{texts['overlap_high']:.3f}); the first {texts['prefix']:.1%} of the words are the same "
            f"({texts['prefix_low']:.1%} to {texts['prefix_high']:.1%})"
        )
    if again := record["asked_again"]:
        lines += [
            f"  {again['same']} of {again['rows']} rows had the same text when they were asked again "
            f"({again['low']:.1%} to {again['high']:.1%})",
            GREEDY,
        ]
    return lines
