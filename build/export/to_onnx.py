"""A source of any kind as one ONNX graph."""

from pathlib import Path

from build.export.exporters import export_folder
from build.sources import onnx_graph, torchscript
from build.sources.formats import ONNX, SAVED_MODEL, TFLITE, TORCHSCRIPT
from build.sources.source import TokenizedSource, TransformersSource
from build.sources.tensorflow import source as tensorflow_source
from contracts.manifest import MODEL


def export(source: TokenizedSource, destination: Path) -> Path:
    """Write the model as ONNX to `destination/model.onnx` and return that path; raise ExportFailed."""
    if isinstance(source, TransformersSource):
        described = source.task.transformers
        decide = described.export_as
        task = decide(source.details) if decide else described.export_task
        return export_folder(source.model_folder, destination, task) / MODEL
    exporters = {
        ONNX: onnx_graph.export,
        TORCHSCRIPT: torchscript.export,
        SAVED_MODEL: tensorflow_source.export,
        TFLITE: tensorflow_source.export,
    }
    return exporters[source.kind](source, destination)
