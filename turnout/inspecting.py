"""`turnout inspect`: the graphs of the reference and of the artefact, compared side by side."""

import importlib.util
import json
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from build import api
from contracts.errors import TurnoutError
from contracts.manifest import verify
from contracts.specs import Deployment
from contracts.tasks import Tier
from turnout.progress import status

MAX_SHOWN = 20
Emit = Callable[[dict[str, Any], Callable[[], None]], None]


class CannotInspect(TurnoutError):
    """There is nothing to inspect, or the package that shows it is not installed."""

    code = "inspection_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An artefact to inspect, with its graphs and those of its reference."""

    step: api.Step
    folder: Path
    pairs: tuple[Any, ...]

    @property
    def name(self) -> str:
        return self.step.name


def subject(deployment: Deployment, out: Path, model: str, tier: Tier, log: Console) -> Subject:
    """Return both sides' graphs, the reference's exported again if they are not cached; raise CannotInspect."""
    steps = [step for step in api.plan(deployment, out, [model]) if step.tier is tier]
    if not steps:
        raise CannotInspect(f"{model} has no {tier} tier; name another with --tier")
    (step,) = steps
    folder = out / model / tier
    if not folder.is_dir():
        raise CannotInspect(f"{step.name} is not built; run `turnout build {model}`")
    # Layers of two different models would be compared otherwise, and every difference be a false one.
    if verify(folder).source_digest != step.source.digest:
        raise CannotInspect(
            f"{step.name} was built from other files than those of its source now; run `turnout build {model}`"
        )
    # Here and not above: torch takes seconds to import, and the checks before need none of it.
    from build.exported_graphs import export_graphs, graph_pairs
    from build.workspace.cache import FOLDER, Cache

    with status(log, "exporting the reference's graphs") as say:
        originals = export_graphs(step, Cache(out / FOLDER / model), say)
    found = graph_pairs(originals, folder)
    if not found:
        raise CannotInspect(
            f"{step.name} has no graph to inspect: a model for {step.task.name} is served from tables"
        )
    return Subject(step=step, folder=folder, pairs=found)


def layers(of: Subject, log: Console) -> dict[str, Any]:
    """Return the difference of each layer from the reference's as a document, the worst first."""
    from build.inspection.layers import compare
    from build.proof.golden import read_golden

    with status(log, "running both on the golden rows"):
        found = compare(of.pairs, of.step.source, read_golden(of.folder))
    return {"model": of.step.model, "tier": of.step.tier, **asdict(found)}


def show_layers(document: dict[str, Any], console: Console) -> None:
    found = document["layers"]
    if not found:
        console.print("no layer of the reference is in the artefact under its name")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("SQNR, dB", "cosine"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("operator", "graph", "tensor"):
        table.add_column(name, overflow="fold")
    for layer in found[:MAX_SHOWN]:
        ratio = "the same" if layer["sqnr_db"] is None else f"{layer['sqnr_db']:.1f}"
        cosine = f"{layer['cosine']:.5f}"
        table.add_row(ratio, cosine, layer["operator"], layer["graph"], layer["tensor"])
    console.print(table)
    console.print(
        f"\nthe worst {min(MAX_SHOWN, len(found))} of {len(found)} layers on {document['rows']} golden rows; "
        f"{document['unmatched']} of the reference's are not in the artefact under their name",
        soft_wrap=True,
    )


def tensorboard(of: Subject, out: Path, folder: Path, log: Console) -> dict[str, Any]:
    """Write event files to a new folder; raises CannotInspect."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise CannotInspect(
            "event files are written by tensorboardX, which is not installed; install it with "
            "`pip install 'tensorboardX>=2.6,<3'`"
        )
    # TensorBoard shows every file of a folder as one run, older ones too.
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotInspect(f"{folder} is there already and not empty; name a new folder")
    from build.inspection.tensorboard import write_event_files

    path = out / of.step.model / "evidence" / f"{of.step.tier}.json"
    evidence = evidence_of(path) if path.is_file() else None
    with status(log, "writing event files"):
        written = write_event_files(folder, of.pairs, evidence)
    return {"folder": str(folder), **written}


def evidence_of(path: Path) -> dict[str, Any]:
    try:
        return {**json.loads(path.read_text("utf-8"))}
    except (OSError, ValueError, TypeError) as error:
        raise CannotInspect(
            f"{path} is cut short or no evidence of a build; run `turnout build`, which measures it again"
        ) from error


def show_written(document: dict[str, Any], console: Console) -> None:
    console.print(
        f"{document['graphs']} graphs, {document['histograms']} histograms of weights and the figures of "
        f"{document['candidates']} candidates; show them with: tensorboard --logdir {document['folder']}",
        soft_wrap=True,
    )


def netron(of: Subject, port: int, browse: bool, emit: Emit, log: Console) -> None:
    """Show both graphs until Ctrl-C."""
    from turnout.viewer import Shown, serving

    def say(url: str) -> None:
        log.print(
            f"{of.name}: the reference beside the artefact, at {url}   Ctrl-C ends it",
            soft_wrap=True,
        )

    shown = [
        Shown(name=pair.name, sides={"reference": pair.exported, "built": pair.built})
        for pair in of.pairs
    ]
    try:
        with serving(of.name, shown, port) as url:
            emit({"url": url}, lambda: say(url))
            if browse:
                webbrowser.open(url)
            threading.Event().wait()
    except KeyboardInterrupt:
        return
