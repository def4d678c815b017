"""`turnout batch`: its options, its progress, and what it prints."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from contracts.prediction import Prefer
from contracts.tasks import Tier
from turnout.terminal import AsJson, CaFile, Concurrency, Key, PinnedTier, Url, emit, log, out

# A log has a line so often.
LINE_EVERY_S = 10.0


def batch_command(
    model: Annotated[str, typer.Argument(help="The model's name, as in models.toml.")],
    file: Annotated[
        Path,
        typer.Argument(
            help='JSON lines: a text in quotes, an input of the task, or {"input": …, "parameters": …, "id": …}.'
        ),
    ],
    answers: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The file of answers; FILE with .answers.jsonl without it."
        ),
    ] = None,
    size: Annotated[int, typer.Option(help="Rows in a request.", min=1, max=1000)] = 8,
    concurrency: Concurrency = 4,
    tier: PinnedTier = None,
    prefer: Annotated[
        Prefer | None, typer.Option(help="What counts most where several tiers can answer.")
    ] = None,
    allow_degraded: Annotated[
        bool,
        typer.Option(
            "--allow-degraded",
            help="Take the CPU tier's answers while the GPU tier sleeps, instead of waiting for it.",
        ),
    ] = False,
    patience: Annotated[
        float,
        typer.Option(
            help="Seconds without an answer after which the batch ends.",
            min=1,
        ),
    ] = 1800.0,
    url: Url = None,
    key: Key = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Send all rows of a file to the endpoint, and write every answer exactly once, in their order.

    A row that is refused has an error in place of an output; what is busy, asleep or out of reach is tried again. The
    same command goes on where an earlier run was cut off. The status is 1 if any row has an error.
    """
    from turnout.batch.rows import RowsFile
    from turnout.batch.running import Batch, run
    from turnout.fronts import find_front

    options = {"tier": tier, "prefer": prefer, "allow_degraded": allow_degraded}
    batch = Batch(
        rows=RowsFile.check(file),
        endpoint=find_front(model, url, key, ca_file),
        model=model,
        out=answers or file.with_suffix(".answers.jsonl"),
        options={name: value for name, value in options.items() if value is not None},
        size=size,
        concurrency=concurrency,
        patience_s=patience,
    )
    with progress(log, batch.rows.count) as told:
        counts = run(batch, told)
    failed = sum(n for name, n in counts.items() if name not in [*Tier])
    document = {
        "out": str(batch.out),
        "rows": batch.rows.count,
        "errors": failed,
        "by": dict(counts),
    }
    emit(as_json, document, lambda: show(document, out))
    raise typer.Exit(1 if failed else 0)


@contextmanager
def progress(console: Console, rows: int) -> Iterator[Any]:
    """Yield the listeners of a batch: a bar on a terminal, and in a log a line every ten seconds."""
    from turnout.batch.running import Told

    if not console.is_terminal:
        lines = Lines(console, rows)
        yield Told(begun=lines.begun, answered=lambda answer: lines.answered(), say=lines.say)
        return
    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[said]}[/]"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("rows", total=rows, said="")
        yield Told(
            begun=lambda done: bar.update(task, completed=done),
            answered=lambda answer: bar.update(task, advance=1, said=""),
            say=lambda line: bar.update(task, said=line[:60]),
        )


class Lines:
    """The progress of a batch in a log."""

    def __init__(self, console: Console, rows: int) -> None:
        self.console, self.rows, self.done, self.last = console, rows, 0, time.monotonic()

    def begun(self, done: int) -> None:
        self.done = done
        behind = f", of which {done} were answered before" if done else ""
        self._print(f"{self.rows} rows{behind}")

    def answered(self) -> None:
        self.done += 1
        if time.monotonic() - self.last >= LINE_EVERY_S:
            self._print(f"{self.done} of {self.rows} rows")

    def say(self, line: str) -> None:
        if time.monotonic() - self.last >= LINE_EVERY_S:
            self._print(f"{self.done} of {self.rows} rows; {line}")

    def _print(self, line: str) -> None:
        self.last = time.monotonic()
        self.console.print(line, markup=False, soft_wrap=True)


def show(document: Mapping[str, Any], console: Console) -> None:
    by = ", ".join(f"{count} {name}" for name, count in sorted(document["by"].items()))
    console.print(f"{document['rows']} rows: {by}", markup=False)
    if document["errors"]:
        console.print(f"{document['errors']} have an `error` in place of an `output`", markup=False)
    console.print(document["out"], markup=False, soft_wrap=True)
