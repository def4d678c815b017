"""Encoders, which read a whole text at once: from a source of any format to one graph with the head of its task."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from build.export.exporters import keep_record
from build.export.fusion import FUSED, PLAIN, fuse, fused_operators, plain
from build.export.to_onnx import export
from build.families import reference as references
from build.families import request_lengths
from build.families.calibration import calibration_feeds
from build.families.family import Family, Rows
from build.reading.outputs import Reference
from build.recipes.encoder import (
    FP16_FUSED,
    FP32,
    FP32_FUSED,
    INT8,
    KERNELS,
    OPENVINO_FP32,
    OPENVINO_INT8,
    keep,
    make_calibrated,
)
from build.recipes.encoder import calibrate as calibrate_graph
from build.recipes.encoder import make as make_graph
from build.recipes.recipe import PREQUANTIZED, EncoderRecipe, NamedRecipe
from build.sources.source import GraphSource, TokenizedSource
from build.workspace.progress import Notify, silent
from contracts.manifest import MODEL, TOKENIZER
from contracts.tasks import Tier


def prepare(source: TokenizedSource, folder: Path, notify: Notify) -> None:
    """Write the graph as it was exported, with the task's head, and the same fused."""
    exported = export(source, folder / "exported")
    plain(source, exported, folder / PLAIN)
    keep_record(exported.parent, folder)
    shutil.rmtree(folder / "exported")
    notify("fusing the graph")
    notify(f"fused into {fused_operators(fuse(source, folder / PLAIN, folder / FUSED))}")


def reference(
    source: TokenizedSource, rows: Rows, prepared: Path, notify: Notify = silent
) -> Reference:
    return references.reference(source, rows, prepared / PLAIN, notify)


def recipes(
    source: TokenizedSource, tier: Tier, quantize: bool
) -> Sequence[EncoderRecipe | NamedRecipe]:
    """Return the recipes to try, of every runtime: for a graph that is quantized already, only itself."""
    if isinstance(source, GraphSource) and source.quantized:
        return (PREQUANTIZED,)
    # A GPU tier serves full precision, and float16 where that was checked on a GPU.
    if tier is Tier.GPU:
        return (FP32_FUSED, FP16_FUSED)
    int8 = (*INT8, *OPENVINO_INT8) if quantize else ()
    return (FP32, FP32_FUSED, OPENVINO_FP32, *int8)


def calibrate(source: TokenizedSource, prepared: Path, rows: Rows, folder: Path) -> None:
    """Write the graph that calibrated candidates are made of, smoothed on the rows, and what was observed on them."""
    calibrate_graph(prepared / FUSED, folder, calibration_feeds(source, rows))


def make(
    recipe: EncoderRecipe | NamedRecipe,
    source: TokenizedSource,
    graphs: Path,
    rows: Rows,
    folder: Path,
) -> None:
    destination = folder / MODEL
    if isinstance(recipe, NamedRecipe):
        keep(graphs / PLAIN, destination)
    elif recipe.calibrated:
        make_calibrated(recipe, graphs, destination)
    else:
        make_graph(recipe, graphs / (FUSED if recipe.fused else PLAIN), destination)
    shutil.copyfile(source.tokenizer, folder / TOKENIZER)


FAMILY = Family(
    prepare=prepare,
    reference=reference,
    recipes=recipes,
    make=make,
    calibrate=calibrate,
    requests=request_lengths.requests,
    kernels=(KERNELS,),
)
