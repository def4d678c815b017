"""Encoders against the libraries they come from: the same texts in sentence-transformers or transformers, and in ours.

`python -m benchmarks.references.encoders CONFIG OUT PYTHON` runs each model of a models.toml: in full precision, fused,
and as it ships, built in OUT. PYTHON is an interpreter that has sentence-transformers; the libraries run in a process
and with versions of their own. Texts go one by one: so sentence-transformers pads nothing, and a dynamically quantized
model is served like this.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import Row, publish
from build.families.registry import family_of
from build.plan import plan
from build.proof.sealing import seal
from build.recipes.encoder import FP32_FUSED
from build.step import Step
from build.workspace.progress import silent
from contracts.models_toml import read_models_toml
from contracts.prediction import PredictRequest
from contracts.tasks import Task
from functions.inference.engine import Engine

TASKS = (Task.FEATURE_EXTRACTION, Task.TEXT_CLASSIFICATION)
MAX_ROWS = 200

THEIRS = r"""
import json, sys
job = json.load(open(sys.argv[1], encoding="utf-8"))
texts, folder = job["texts"], job["folder"]
if job["task"] == "feature-extraction":
    import sentence_transformers
    model = sentence_transformers.SentenceTransformer(folder, device="cpu", local_files_only=True)
    model.max_seq_length = min(model.max_seq_length or job["max_tokens"], job["max_tokens"])
    outputs = model.encode(texts, batch_size=1, show_progress_bar=False).tolist()
    library = f"sentence-transformers {sentence_transformers.__version__}"
else:
    import transformers
    pipe = transformers.pipeline("text-classification", model=folder, device="cpu")
    outputs = pipe(texts, batch_size=1, truncation=True, max_length=job["max_tokens"])
    library = f"transformers {transformers.__version__}"
json.dump({"library": library, "outputs": outputs}, open(sys.argv[2], "w", encoding="utf-8"))
"""


def theirs(step: Step, texts: list[str], python: str, place: Path) -> dict[str, Any]:
    job = {
        "task": step.task.name,
        "folder": str(step.source.path.resolve()),
        "texts": texts,
        "max_tokens": step.source.max_tokens,
    }
    (place / "job.json").write_text(json.dumps(job), "utf-8")
    paths = [str(place / "job.json"), str(place / "outputs.json")]
    # No network is used, and no threads spin for each other where others use the machine too.
    alone = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([python, "-c", THEIRS, *paths], check=True, env=alone)
    found: dict[str, Any] = json.loads(Path(paths[1]).read_text("utf-8"))
    return found


def full_precision(step: Step, place: Path) -> Path:
    """Return the fused candidate in full precision, sealed as a build seals it."""
    prepared, parts = place / "prepared", place / "parts"
    for made in (prepared, parts):
        made.mkdir()
    family = family_of(step.source)
    family.prepare(step.source, prepared, lambda text: print(f"{step.model}: {text}", flush=True))
    family.make(FP32_FUSED, step.source, prepared, step.rows, parts)
    # `seal` takes the length of a vector from the reference's outputs, for which a few rows are enough.
    few = replace(step, rows=step.rows[:8])
    original = family.reference(few.source, few.rows, prepared, silent).outputs
    seal(place / "artefact", few, FP32_FUSED, parts, original)
    return place / "artefact"


def compared(step: Step, texts: list[str], artefact: Path, right: dict[str, Any]) -> Row:
    engine = Engine.load(artefact)
    outputs = [engine.predict(PredictRequest(inputs=(text,))).outputs[0] for text in texts]
    row: Row = {
        "model": step.model,
        "ours": engine.manifest.recipe,
        "reference": right["library"],
        "texts": len(texts),
    }
    if step.task.name is Task.FEATURE_EXTRACTION:
        one = np.array([output["embedding"] for output in outputs])
        other = np.array(right["outputs"])
        norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        cosine = (one * other).sum(1) / norms
        return row | {
            "largest difference": f"{np.abs(one - other).max():.1e}",
            "same": f"cosine {cosine.mean():.6f} mean, {cosine.min():.6f} least",
        }
    pairs = list(zip(outputs, right["outputs"], strict=True))
    same = [o["label"] == r["label"] for o, r in pairs]
    gaps = [abs(o["score"] - r["score"]) for o, r in pairs if o["label"] == r["label"]]
    return row | {
        "largest difference": f"{max(gaps):.1e}",
        "same": f"label of {sum(same)} in {len(same)}",
    }


def main(config: Path, out: Path, python: str) -> None:
    rows: list[Row] = []
    for step in plan(read_models_toml(config), out):
        if step.task.name not in TASKS or step.tier != "cpu":
            continue
        texts = [str(row.request.inputs[0]) for row in step.rows[:MAX_ROWS]]
        with tempfile.TemporaryDirectory() as name:
            right = theirs(step, texts, python, Path(name))
            rows.append(compared(step, texts, full_precision(step, Path(name)), right))
        if (out / step.model / "cpu").is_dir():
            rows.append(compared(step, texts, out / step.model / "cpu", right))
    publish("reference_encoders", rows, command="benchmarks.references.encoders")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
