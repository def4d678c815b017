"""What every candidate was made from: the original's graphs in full precision, beside those of an artefact."""

from dataclasses import dataclass
from pathlib import Path

from build.families.encoders import PLAIN
from build.families.registry import family_of
from build.library_errors import EXPORTING, naming_source
from build.step import Step
from build.workspace.cache import Cache
from build.workspace.progress import Notify


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One graph of an artefact and the original's, as it was exported. `others` are the same in other shapes."""

    name: str
    original: Path
    built: Path
    others: tuple[Path, ...] = ()


def prepared(step: Step, cache: Cache, notify: Notify) -> Path:
    """The folder of the original's graphs: as the last build left it, or made again from the same source."""

    def prepare(folder: Path) -> None:
        folder.mkdir()
        with naming_source(step.source, folder, EXPORTING):
            family_of(step.source).prepare(step.source, folder, notify)

    return cache.file(prepare, "prepared", **step.made_from)


def pairs(originals: Path, built: Path) -> tuple[Pair, ...]:
    """Each graph that was built with the one it was made of; none for a model that has no graph."""
    found = []
    for path in sorted(built.glob("*.onnx")):
        same = [p for p in (originals / path.name, originals / PLAIN) if p.is_file()]
        if same:
            others = () if same[0].name == path.name else sorted(originals.glob("*.onnx"))
            found.append(
                Pair(
                    name=path.stem,
                    original=same[0],
                    built=path,
                    others=tuple(other for other in others if other != same[0]),
                )
            )
    return tuple(found)
