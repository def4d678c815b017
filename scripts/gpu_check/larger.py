"""`python -m scripts.gpu_check.larger ARTEFACT`: time BERT's other sizes on this machine's GPU, with random weights.

Their layers are those of the artefact's graph, so the operators are the ones that a build has fused. Speed depends on
the sizes alone; nothing can be said of answers.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from benchmarks.record import Row, publish
from build.evaluation.gpu_results import FULL, HALF
from build.recipes.half import to_half
from contracts.manifest import MODEL
from functions.inference.session import PROVIDERS, bound, options
from functions.inference.token_batches import BATCH_TOKENS
from scripts.gpu_check.measuring import LENGTHS, SIZES, device_name, median_ms

# As in published checkpoints of BERT; the range of its first weights.
INITIAL = 0.02
# A processor takes seconds for more.
PROCESSOR_REPEATS, PROCESSOR_TOKENS = 5, 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A size of BERT: its layers, its width and its heads."""

    name: str
    layers: int
    hidden: int
    heads: int


BERT = (
    Size(name="BERT-base", layers=12, hidden=768, heads=12),
    Size(name="BERT-large", layers=24, hidden=1024, heads=16),
)


def larger(model: Any, size: Size, rng: np.random.Generator) -> Any:
    """Return a fused encoder's graph with as many copies of its first layer, and random weights; raise ValueError.

    Its first layer begins with its first Attention and ends before its second.
    """
    nodes = list(model.graph.node)
    starts = [i for i, node in enumerate(nodes) if node.op_type == "Attention"]
    if len(starts) < 2:
        raise ValueError("the graph has no two layers with fused attention")
    first, length = starts[0], starts[1] - starts[0]
    layer, rest = nodes[first : starts[1]], nodes[starts[-1] + length :]
    weights = _Weights(model.graph.initializer, nodes, size, rng)
    read, written = layer[0].input[0], layer[-1].output[0]
    found, current = nodes[:first], read
    for number in range(size.layers):
        own = {name: f"{number}.{name}" for node in layer for name in node.output}
        own |= {n: f"{number}.{n}" for node in layer for n in node.input if n in weights.originals}
        found += [_copy(node, {**own, read: current}, size) for node in layer]
        current = own[written]
        for name in filter(weights.originals.__contains__, own):
            weights.add(name, own[name])
    last = nodes[starts[-1] + length - 1].output[0]
    found += [_copy(node, {last: current}, size) for node in rest]
    for node in [*nodes[:first], *rest]:
        for name in filter(weights.originals.__contains__, node.input):
            weights.add(name, name)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:], made.graph.initializer[:]
    made.graph.node.extend(found)
    made.graph.initializer.extend(weights.made.values())
    return made


def _copy(node: Any, names: Mapping[str, str], size: Size) -> Any:
    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.input[:] = [names.get(name, name) for name in node.input]
    made.output[:] = [names.get(name, name) for name in node.output]
    made.name = made.output[0]
    for attribute in made.attribute:
        if attribute.name == "num_heads":
            attribute.i = size.heads
    return made


class _Weights:
    """The initializers of the larger graph, made in the shapes of the smaller one's."""

    def __init__(
        self, originals: Sequence[Any], nodes: Sequence[Any], size: Size, rng: np.random.Generator
    ) -> None:
        self.originals = {tensor.name: tensor for tensor in originals}
        self.made: dict[str, Any] = {}
        self.size, self.rng = size, rng
        tables = next(node for node in nodes if node.op_type == "EmbedLayerNormalization").input
        self.tables, self.scales = tables[2:5], {tables[5]}
        self.width = self.originals[tables[2]].dims[1]
        self.scales |= {node.input[2] for node in nodes if node.op_type == "SkipLayerNormalization"}

    def add(self, original: str, name: str) -> None:
        tensor = self.originals[original]
        if tensor.data_type != onnx.TensorProto.FLOAT:
            self.made[name] = tensor
            return
        shape = [self._scaled(original, axis, n) for axis, n in enumerate(tensor.dims)]
        if original in self.scales:
            value = np.ones(shape, np.float32)
        elif len(shape) == 1:
            value = np.zeros(shape, np.float32)
        else:
            value = self.rng.standard_normal(shape, np.float32) * np.float32(INITIAL)
        self.made[name] = numpy_helper.from_array(value, name)

    def _scaled(self, original: str, axis: int, n: int) -> int:
        rows_of_table = original in self.tables and axis == 0
        return n if rows_of_table or n % self.width else n // self.width * self.size.hidden


def measure(
    template: Any,
    sizes: Sequence[Size],
    device: str,
    *,
    repeats: int = 20,
    lengths: Sequence[int] = LENGTHS,
) -> list[Row]:
    """Return the milliseconds of a run in float32 and in float16 by size, length and batch.

    Beside them stand those of float32 on this machine's processor, of runs with few tokens.
    """
    if device == "cuda":
        ort.preload_dlls()
    rows: list[Row] = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            full, half = Path(folder) / "full.onnx", Path(folder) / "half.onnx"
            model = larger(template, size, np.random.default_rng(0))
            count = sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
            onnx.save(model, full)
            onnx.save(to_half(model), half)
            del model
            found = {
                name: _times(graph, device, repeats, lengths)
                for name, graph in ((FULL, full), (HALF, half))
            }
            beside = _times(full, "cpu", PROCESSOR_REPEATS, lengths, PROCESSOR_TOKENS)
        rows += [
            {
                "model": f"{size.name}, {count / 1e6:.0f} M",
                "tokens": tokens,
                "texts": texts,
                **{f"{name}, ms": ms[tokens, texts] for name, ms in found.items()},
                **{
                    f"{name}, texts a second": round(texts / ms[tokens, texts] * 1e3, 1)
                    for name, ms in found.items()
                },
                f"{os.cpu_count()} cores fp32, ms": beside.get((tokens, texts), ""),
            }
            for tokens, texts in found[FULL]
        ]
    return rows


def _times(
    graph: Path,
    device: str,
    repeats: int,
    lengths: Sequence[int],
    most_tokens: int = BATCH_TOKENS,
) -> dict[tuple[int, int], float]:
    session = ort.InferenceSession(
        str(graph), options(os.cpu_count() or 1), providers=PROVIDERS[device]
    )
    if device == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
        raise SystemExit("ONNX Runtime has fallen back to the processor")
    forward, found = bound(session), {}
    for tokens in lengths:
        for texts in SIZES:
            if tokens * texts > most_tokens:
                continue
            ones = np.ones((texts, tokens), np.int64)
            feeds = {each.name: ones for each in session.get_inputs()}
            if "token_type_ids" in feeds:
                feeds["token_type_ids"] = np.zeros_like(ones)
            ms = median_ms(lambda feeds=feeds: forward(feeds), repeats)
            found[tokens, texts] = round(ms, 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.gpu_check.larger", description=__doc__)
    parser.add_argument("artefact", type=Path, help="the folder of a BERT's artefact")
    artefact = parser.parse_args().artefact
    rows = measure(onnx.load(artefact / MODEL), BERT, "cuda")
    command = f"scripts.gpu_check.larger {artefact}"
    publish("gpu_larger", rows, gpu=device_name("cuda"), command=command)


if __name__ == "__main__":
    main()
