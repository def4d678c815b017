"""Hugging Face folders to ONNX by optimum. No other module imports it, so that another exporter can take its place."""

from pathlib import Path

from build.errors import ExportFailed
from build.graph.opset import OPSET
from build.workspace.build_memory import release_memory
from build.workspace.quiet import quiet


def export_folder(folder: Path, destination: Path, task: str, *, merge: bool = True) -> Path:
    """Write the folder's graphs in full precision to `destination` and return it; raises ExportFailed.

    `task` is optimum's name for what the graphs compute; `-with-past` behind it asks for a KV cache. Without `merge`
    the decoder that has a cache and the one that has none yet stay two graphs instead of the branches of one `If`.
    """
    with quiet():
        from optimum.exporters.onnx import main_export

        try:
            main_export(
                str(folder),
                output=str(destination),
                task=task,
                opset=OPSET,
                device="cpu",
                # optimum would compare with the model on made-up inputs; the build does so on the user's rows.
                do_validation=False,
                no_post_process=not merge,
                # Otherwise optimum takes a folder with sentence-transformers' files for a model of that library.
                library_name="transformers",
                local_files_only=True,
            )
        except Exception as error:  # of exporter and model code alike, so of any type
            raise ExportFailed(
                f"{folder} cannot be exported ({type(error).__name__}: {error}); "
                "check that transformers loads it, and that its architecture is one optimum exports"
            ) from error
    release_memory()
    return destination
