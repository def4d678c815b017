"""A real T5 against transformers, text by text: `python -m benchmarks.references.seq2seq DATA WORK`.

DATA is `traceforge_title_model/data/span` of the package traceforge-title-model 0.2.0: a flan-t5-small, trained further
to generate titles, as two ONNX graphs in 8 bits. Its weights are dequantized into a folder as transformers saves one,
whose model is the reference here. In full precision a candidate has to generate what transformers generates without
sampling; each is also teacher-forced along that.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from benchmarks.record import Row, publish
from build.evaluation.perplexity import GenerationFigures
from build.families.registry import family_of
from build.plan import plan
from build.proof.native_run import run_on_rows
from build.proof.sealing import seal
from build.step import Step
from build.workspace.progress import silent
from contracts.specs import CpuSpec, Deployment, ModelSpec
from contracts.tasks import Task, Tier
from functions.inference.engine import Engine

TEXTS = (
    "translate English to German: The house is wonderful.",
    "translate English to German: Where is the next railway station?",
    "translate English to French: I would like a cup of coffee, please.",
    "summarize: The committee met on Tuesday to discuss the new budget. After three hours of debate, it voted to raise "
    "spending on schools and to lower it on roads. The mayor said she would sign the plan next week.",
    "summarize: A storm reached the coast in the early morning. Hundreds of homes lost power, and two bridges were "
    "closed. Nobody was hurt. Repairs are expected to take several days.",
    "Answer the question: What is the capital of France?",
    "Answer the question: How many legs does a spider have?",
    "Is this review positive or negative? The film was far too long and I wanted to leave.",
    "Is this review positive or negative? A warm and funny story with a wonderful cast.",
    "Write a title: The parser fails when a file ends without a newline; add the missing check and a test for it.",
    "Write a title: Users cannot log in after their password has expired, since the form is never shown to them.",
    "Write a title: Upgrade the image library to fix a crash with very large pictures.",
    "Fix the unit test in the parser module so that it no longer depends on the order of the files.",
    "The build is slow because every test starts its own database; share one between them.",
    "Add a button to the settings page that lets people delete their account.",
    "Answer yes or no: Can fish breathe under water?",
)


def weights_of(data: Path) -> dict[str, NDArray[np.float32]]:
    """Return the model's weights by the names that transformers has for them, in full precision."""
    found: dict[str, NDArray[np.float32]] = {}
    for name, prefix in (("encoder", "enc."), ("decoder", "m.")):
        graph = onnx.load(data / f"{name}.onnx").graph
        tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        for key, array in _named(graph, tensors):
            found[
                key.removeprefix(prefix)
                if prefix == "m."
                else f"encoder.{key.removeprefix(prefix)}"
            ] = array
    found["encoder.embed_tokens.weight"] = found["decoder.embed_tokens.weight"] = found[
        "shared.weight"
    ]
    return found


def _named(
    graph: Any, tensors: dict[str, NDArray[Any]]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for node in graph.node:
        if node.op_type == "MatMulInteger" and node.input[1] in tensors:
            key = node.name.strip("/").removesuffix("/MatMul_quant").replace("/", ".")
            # ONNX multiplies by [in, out], and torch's Linear keeps [out, in].
            yield f"{key}.weight", _floats(tensors, node.input[1]).T
    for name, array in tensors.items():
        if name.endswith("layer_norm.weight"):
            yield name, array
        elif name.endswith(".weight_quantized"):
            yield name.removesuffix("_quantized"), _floats(tensors, name)


def _floats(tensors: dict[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    scale, zero = (tensors[name.replace("_quantized", end)] for end in ("_scale", "_zero_point"))
    floats: NDArray[np.float32] = (
        tensors[name].astype(np.float32) - zero.astype(np.float32)
    ) * scale
    return floats.astype(np.float32)


def save_folder(data: Path, folder: Path) -> None:
    """Save the model as older releases of transformers did: since 5, its class would tie the head to the embeddings."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    # The sizes of flan-t5-small, which the package does not come with.
    config = dict(
        model_type="t5",
        architectures=["T5ForConditionalGeneration"],
        is_encoder_decoder=True,
        pad_token_id=0,
        eos_token_id=1,
        vocab_size=32128,
        d_model=512,
        d_kv=64,
        d_ff=1024,
        num_layers=8,
        num_decoder_layers=8,
        num_heads=6,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
    )
    (folder / "config.json").write_text(json.dumps(config, indent=2), "utf-8")
    weights = {name: np.ascontiguousarray(array) for name, array in weights_of(data).items()}
    # The embeddings of both sides are the shared ones, which are stored once.
    shared = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    kept = {name: array for name, array in weights.items() if name not in shared}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copyfile(data / "tokenizer.json", folder / "tokenizer.json")


def prepared(data: Path, work: Path) -> tuple[Step, Path]:
    """Return the build step of the model, and the folder of its prepared graphs."""
    if not (work / "model").exists():
        save_folder(data, work / "model")
    rows = work / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), "utf-8")
    spec = ModelSpec(
        name="t5",
        source=work / "model",
        task=Task.TEXT2TEXT_GENERATION,
        eval=rows,
        cpu=CpuSpec(max_tokens=256),
    )
    (step,) = plan(Deployment(models=(spec,)), work / "out")
    graphs = work / "prepared"
    if not graphs.exists():
        graphs.mkdir()
        family_of(step.source).prepare(step.source, graphs, silent)
    return step, graphs


def main(data: Path, work: Path) -> None:
    step, graphs = prepared(data, work)
    family = family_of(step.source)
    theirs = family.reference(step.source, step.rows, graphs, silent).outputs
    rows: list[Row] = []
    for recipe in family.recipes(step.source, Tier.CPU, True):
        parts, folder = work / "parts", work / recipe.name.replace(", ", "-").replace(" ", "-")
        for place in (parts, folder):
            shutil.rmtree(place, ignore_errors=True)
        parts.mkdir()
        family.make(recipe, step.source, graphs, step.rows, parts)
        manifest = seal(folder, step, recipe, parts, theirs)
        engine = Engine.load(folder)
        start = time.process_time()
        ours = [engine.predict(row.request).outputs[0]["generated_text"] for row in step.rows]
        took = time.process_time() - start
        figures = step.task.comparison.measure(
            run_on_rows(folder, step.rows, theirs), theirs, step.rows
        )
        assert isinstance(figures, GenerationFigures)
        same = sum(
            one == other[0]["generated_text"] for one, other in zip(ours, theirs, strict=True)
        )
        rows.append(
            {
                "recipe": recipe.name,
                "MB": round(manifest.size / 1e6, 1),
                "written alike": f"{same} of {len(theirs)}",
                "same next token": round(figures.agreement, 4),
                "perplexity ratio": round(figures.ratio, 4),
                "s of processor time": round(took, 2),
            }
        )
        print(rows[-1], flush=True)
    publish("reference_seq2seq", rows, command="benchmarks.references.seq2seq", texts=len(TEXTS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "data", type=Path, help="the folder of encoder.onnx, decoder.onnx and tokenizer.json"
    )
    parser.add_argument("work", type=Path, help="a folder for what is made")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    main(given.data, given.work)
