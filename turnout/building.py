"""`turnout build`: progress while it runs, and a table of the figures that its gate was decided on."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from build import api
from build.workspace.isolated_process import NONE, described, leave_network
from contracts.manifest import BrokenArtefact
from contracts.specs import Deployment, Objective

# Without a terminal, seconds between two lines about one artefact.
EVERY_S = 5.0


class Bars:
    """Progress on a terminal: one bar for each artefact, with the stage at work beside it."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tasks: dict[str, TaskID] = {}

    def stage(self, name: str, stage: str, done: float) -> None:
        """Show the stage; `done` is the finished share of the whole artefact, from 0 to 1."""
        task = self.tasks.get(name)
        if task is None:
            task = self.tasks[name] = self.progress.add_task(name, total=1.0, stage=stage)
        self.progress.update(task, completed=done, stage=stage)


class Lines:
    """Progress in a log: one line for each artefact every few seconds, and one at its end."""

    def __init__(self, log: Console) -> None:
        self.log = log
        self.printed_at: dict[str, float] = {}

    def stage(self, name: str, stage: str, done: float) -> None:
        now = time.monotonic()
        if now - self.printed_at.get(name, -EVERY_S) < EVERY_S and done < 1:
            return
        self.printed_at[name] = now
        line = f"{done:4.0%} {name}: {stage}"
        # Rich would read brackets as markup, and break lines at the width that it assumes for a log.
        self.log.print(line, highlight=False, markup=False, soft_wrap=True)


def with_objective(deployment: Deployment, objective: Objective | None) -> Deployment:
    """Return the deployment with that objective for every model on a CPU; itself where none is given."""
    if objective is None:
        return deployment
    models = (
        replace(model, cpu=replace(model.cpu, objective=objective)) if model.cpu else model
        for model in deployment.models
    )
    return replace(deployment, models=tuple(models))


def build(
    deployment: Deployment, out: Path, models: Sequence[str] | None, log: Console
) -> list[dict[str, Any]]:
    """Build what is not current; return the evidence of each artefact, in the order of `models.toml`."""
    api.fetch(deployment, out, models)
    steps = api.plan(deployment, out, models)
    # From here on, libraries load what the sources hold.
    if not leave_network():
        log.print(f"models are loaded {described(NONE)}")
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("[dim]{task.fields[stage]}[/]"),
        TimeElapsedColumn(),
    )
    if log.is_terminal:
        with Progress(*columns, console=log) as progress:
            api.run(steps, out, Bars(progress).stage)
    else:
        api.run(steps, out, Lines(log).stage)
    return [
        evidence(
            out / step.model / "evidence" / f"{step.tier}.json", skipped=step.sealed, edge=step.edge
        )
        for step in steps
    ]


def evidence(path: Path, **outcome: bool) -> dict[str, Any]:
    """Read the evidence of an artefact and add the outcome of its step; raise BrokenArtefact if it cannot be shown."""
    try:
        document: dict[str, Any] = {**json.loads(path.read_text("utf-8")), **outcome}
        # A file cut short parses as JSON at times: what is shown later is made here, while the file can be named.
        cells(document)
        notes(document)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BrokenArtefact(
            f"{path} is not what a build writes there ({type(error).__name__}: {error}); remove it and build again"
        ) from error
    return document


def show(built: list[dict[str, Any]], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("model", "tier", "version", "recipe"):
        table.add_column(name, no_wrap=True)
    for name in ("proof", "MB", ""):
        table.add_column(name)
    for one in built:
        table.add_row(*cells(one))
    console.print(table)
    for one in built:
        for note in notes(one):
            console.print(
                f"{one['model']} {one['tier']}: {note}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


def cells(one: dict[str, Any]) -> tuple[str, ...]:
    """Return one row of the table, as text."""
    size = f"{one['bytes_original'] / 1e6:.1f} → {one['bytes_built'] / 1e6:.1f}"
    note = "current" if one["skipped"] else f"built in {sum(one['seconds'].values()):.0f} s"
    note += ", with an edge copy" if one["edge"] else ""
    return one["model"], one["tier"], one["version"], one["recipe"], proof(one), size, note


def notes(one: dict[str, Any]) -> list[str]:
    """Return what is not proven of what ships, or not to be relied on, and why another ships than what is best here."""
    passed = [
        f"{one['recipe']} ships rather than {over['recipe']}: {over['why']}"
        for over in one["passed_over"]
    ]
    # What was not checked is among the evidence's own notes, once for all of its processors.
    fine = ("holds", "measured here", "not checked")
    other = [
        f"on {seen['name']}: {seen['verdict']}"
        for seen in one["processors"]
        if seen["verdict"] not in fine
    ]
    sample = ["agreement on sample rows only; add your own under `eval`"] * bool(one.get("sample"))
    why = one["reading"]["why"]
    unread = [f"reading not independently checked: {why}"] if why else []
    allowed = [f"its rows prove little: {finding}" for finding in one.get("uninformative", [])]
    few = ["its gate held for one row, which proves nothing of others; give more under `eval`"]
    return [*sample, *allowed, *unread, *passed, *other, *one["notes"], *few * (one["rows"] == 1)]


def proof(one: dict[str, Any]) -> str:
    """Return the figures of the gate, which are those of the model's family, in few words."""
    if "cosine_mean" in one:
        return _vectors(one)
    if "determination" in one:
        metric = f"{_correlation(one)}, " if "metric" in one else ""
        interval = f"{one['determination_low']:.4f} to {one['determination_high']:.4f}"
        return f"{metric}R² {one['determination']:.4f} ({interval})"
    if "ratio" in one:
        perplexity = f"perplexity {one['perplexity_original']:.2f} → {one['perplexity_built']:.2f}"
        if "agreement" in one:
            return f"{perplexity}, same next token {one['agreement']:.1%}"
        return f"{perplexity}, ratio {one['ratio_low']:.4f} to {one['ratio_high']:.4f}"
    return (
        f"{one['metric']} {one['metric_original']:.1%} → {one['metric_built']:.1%}, "
        f"same answer {one['agreement']:.1%}"
    )


def _vectors(one: dict[str, Any]) -> str:
    cosine = f"cosine {one['cosine_mean']:.4f} mean"
    if "metric" in one:
        return f"{_correlation(one)}, {cosine}"
    interval = f"{one['cosine_low']:.4f} to {one['cosine_high']:.4f}"
    return f"{cosine} ({interval}), {one['cosine_p5']:.4f} 5th percentile"


def _correlation(one: dict[str, Any]) -> str:
    change = f"{one['metric_original']:.4f} → {one['metric_built']:.4f}"
    interval = f"{one['difference_low']:+.4f} to {one['difference_high']:+.4f}"
    return f"{one['metric']} {change} ({interval})"
