"""The graphs in full precision that every candidate is made from, paired with those of an artefact."""

from dataclasses import dataclass
from pathlib import Path

from build.export.fusion import PLAIN
from build.families.registry import family_of
from build.library_errors import EXPORTING, naming_source
from build.step import Step
from build.workspace.cache import Cache
from build.workspace.progress import Notify


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphPair:
    """One graph of an artefact and the exported graph it was made from; `others` are that one fused, for example."""

    name: str
    exported: Path
    built: Path
    others: tuple[Path, ...] = ()


def export_graphs(step: Step, cache: Cache, notify: Notify) -> Path:
    """Return the folder of the exported graphs: cached by the last build, or exported again by `Family.prepare`."""

    def prepare(folder: Path) -> None:
        folder.mkdir()
        with naming_source(step.source, folder, EXPORTING):
            family_of(step.source).prepare(step.source, folder, notify)

    return cache.file(prepare, "prepared", **step.made_from)


def graph_pairs(originals: Path, built: Path) -> tuple[GraphPair, ...]:
    """Return each built graph with the exported one that it was made from; none for a model served from tables."""
    matched = []
    for path in sorted(built.glob("*.onnx")):
        # A generator's graphs keep their names; an encoder's only one is made from the plain graph.
        same = [p for p in (originals / path.name, originals / PLAIN) if p.is_file()]
        if same:
            others = () if same[0].name == path.name else sorted(originals.glob("*.onnx"))
            matched.append(
                GraphPair(
                    name=path.stem,
                    exported=same[0],
                    built=path,
                    others=tuple(other for other in others if other != same[0]),
                )
            )
    return tuple(matched)
