"""A source to ONNX; a Hugging Face folder by optimum, which nothing else knows of, so another can take its place."""

from pathlib import Path

from build.errors import ExportFailed
from build.graph.edit import OPSET
from build.sources import onnx_graph, torchscript
from build.sources.formats import ONNX, SAVED_MODEL, TFLITE, TORCHSCRIPT
from build.sources.source import TokenizedSource, TransformersSource
from build.sources.tensorflow import source as tensorflow_source
from build.workspace.memory import give_back
from build.workspace.quiet import quiet
from contracts.tasks import Task

# What optimum calls the graph that a task needs, where it is not the task's own name.
GRAPHS = {
    Task.ZERO_SHOT_CLASSIFICATION: "text-classification",
    Task.TEXT_RANKING: "text-classification",
    Task.LANGUAGE_MODEL_SCORING: "text-generation",
}


def export(source: TokenizedSource, destination: Path) -> Path:
    """The model as ONNX at `destination/model.onnx`, whatever it was saved as; raises ExportFailed."""
    if isinstance(source, TransformersSource):
        return _by_optimum(source, destination)
    exporters = {
        ONNX: onnx_graph.export,
        TORCHSCRIPT: torchscript.export,
        SAVED_MODEL: tensorflow_source.export,
        TFLITE: tensorflow_source.export,
    }
    return exporters[source.kind](source, destination)


def _by_optimum(source: TransformersSource, destination: Path) -> Path:
    """The model as ONNX at `destination/model.onnx`, in full precision; raises ExportFailed."""
    with quiet():
        from optimum.exporters.onnx import main_export

        try:
            main_export(
                str(source.folder),
                output=str(destination),
                task=GRAPHS.get(source.task, str(source.task)),
                opset=OPSET,
                device="cpu",
                do_validation=False,
                library_name="transformers",
                local_files_only=True,
            )
        except Exception as error:
            raise ExportFailed(
                f"{source.folder} cannot be exported ({type(error).__name__}: {error}); "
                "check that transformers loads it, and that its architecture is one optimum exports"
            ) from error
    give_back()
    return destination / "model.onnx"
