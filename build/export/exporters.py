"""The exporter of a Hugging Face folder, chosen by its architecture; no other module knows that there are two.

torch.onnx is the default: it reads folders with the release of transformers that the reference runs, takes a fraction
of optimum's time, and its graphs have as many nodes after fusion, or fewer. A folder that it cannot export, or exports
to a graph that differs from the model, is tried with optimum.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from build.errors import ExportFailed
from build.export.optimum import environment as optimum
from build.export.torch_onnx import process as torch_onnx
from build.sources.huggingface.config import FILE as CONFIG

# The name of the exporter, in a file beside the graphs that it made.
RECORD = "exporter.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """An exporter: `export` writes a folder's graphs for a task, and `label` is how a manifest names it."""

    export: Callable[[Path, Path, str], Path]
    label: Callable[[], str]


TORCH = Exporter(export=torch_onnx.export_folder, label=torch_onnx.label)
OPTIMUM = Exporter(export=optimum.export_folder, label=optimum.label)
DEFAULT = (TORCH, OPTIMUM)
# By `model_type`, the exporters to try instead of the default ones, each with the reason.
BY_ARCHITECTURE: Mapping[str, tuple[Exporter, ...]] = {}


def export_folder(folder: Path, destination: Path, task: str) -> Path:
    """Write the folder's graphs in full precision to `destination`, which is new, and return it; raise ExportFailed.

    `task` is optimum's name for what the graphs compute; `-with-past` behind it asks for a KV cache.
    """
    architecture = json.loads((folder / CONFIG).read_text("utf-8")).get("model_type", "")
    failed = []
    for exporter in BY_ARCHITECTURE.get(architecture, DEFAULT):
        try:
            exporter.export(folder, destination, task)
        except ExportFailed as error:
            failed.append(f"{exporter.label()}: {error}")
            shutil.rmtree(destination, ignore_errors=True)
        else:
            record = json.dumps({"exporter": exporter.label()})
            (destination / RECORD).write_text(record, "utf-8")
            return destination
    raise ExportFailed(
        f"{folder} cannot be exported, as no exporter makes a graph of the architecture {architecture or 'it has'} "
        f"that answers as the model does; check that transformers loads it, or export it to ONNX yourself "
        f"({'; '.join(failed)})"
    )


def keep_record(exported: Path, prepared: Path) -> None:
    """Copy the name of the exporter from the exported graphs to those that are made of them, if there is one."""
    if (exported / RECORD).exists():
        shutil.copyfile(exported / RECORD, prepared / RECORD)


def exporter_of(prepared: Path) -> dict[str, str]:
    """Return the name of the exporter that made the graphs, for the manifest; empty if they came as ONNX."""
    if not (prepared / RECORD).exists():
        return {}
    record: dict[str, str] = json.loads((prepared / RECORD).read_text("utf-8"))
    return record


def versions() -> dict[str, str]:
    """Return the versions of what the exporters need besides the tools of every build."""
    return optimum.versions()
