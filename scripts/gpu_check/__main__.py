"""`python -m scripts.gpu_check MODEL`: measure a GPU tier's artefact on this machine's GPU.

Its golden rows are answered in float32 and in float16, in TF32 and by TensorRT where they are there, and compared with
the CPU's answers; latency and throughput are measured by length and batch, then the gain of batching, memory, and what
callers of the container's server see. One file is written, `gpu_check/MODEL-DATE.json` in the folder of the artefacts.
The next `turnout build` reads it: float16 ships only where such a file of a GPU has no problem with the very graph.
`--device cpu` does what needs no GPU.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnxruntime as ort

from benchmarks.inference.batching import CALLERS, measure
from benchmarks.record import commit, machine
from build.evaluation.gpu_results import FOLDER, FULL
from build.proof.golden import read_golden
from contracts.manifest import BrokenArtefact, file_sha256, verify
from functions.inference.engine import Engine
from scripts.gpu_check.measuring import (
    LENGTHS,
    agreement,
    answers,
    compared,
    device_name,
    memory_mb,
    row_ms,
    times,
)
from scripts.gpu_check.serving import NoServer, served
from scripts.gpu_check.variants import VARIANTS, AnotherProvider, graph_of, opened, unavailable

THREADS = os.cpu_count() or 1


def check(
    artefact: Path,
    device: str,
    *,
    repeats: int = 20,
    seconds: float = 2.0,
    lengths: Sequence[int] = LENGTHS,
    callers: Sequence[int] = CALLERS,
) -> dict[str, Any]:
    """Return the result of an artefact of an encoder on that device, "cuda" or "cpu".

    Raise BrokenArtefact, and AnotherProvider or what ONNX Runtime raises if what ships does not run there; another
    variant that does not run is noted.
    """
    manifest = verify(artefact)
    if Engine.open(artefact, manifest).batching is None:
        raise SystemExit(f"{manifest.model} takes one request at a time; only encoders are checked")
    requests = [row.request for row in read_golden(artefact)]
    on_cpu = opened(
        VARIANTS[0], graph_of(VARIANTS[0], artefact, artefact), artefact, manifest, "cpu", THREADS
    )
    reference = answers(on_cpu, requests)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for variant in VARIANTS:
            why = unavailable(variant, device)
            if why and variant.name == FULL:
                raise AnotherProvider(why)
            if why:
                found[variant.name] = {"unavailable": why}
                continue
            graph = graph_of(variant, artefact, Path(folder))
            try:
                engine = opened(variant, graph, artefact, manifest, device, THREADS)
                now = answers(engine, requests)
            except Exception as error:  # ONNX Runtime's errors have no base class of their own
                if variant.name == FULL:
                    raise
                found[variant.name] = {"unavailable": f"it does not run: {str(error)[:300]}"}
                continue
            found[variant.name] = {
                "graph": file_sha256(graph),
                **compared(manifest, requests, now, reference),
                "row_ms": row_ms(engine, requests, repeats),
                "times": times(engine, repeats, lengths),
                "memory_mb": memory_mb(device),
                **(
                    {"batching": measure(engine, requests, 2, seconds)}
                    if variant.name == FULL
                    else {}
                ),
            }
    try:
        server, outputs = served(artefact, device, requests, callers, seconds)
        server.update(agreement(manifest, requests, outputs, reference.outputs))
    except (NoServer, OSError, subprocess.SubprocessError) as error:
        server = {"unavailable": str(error)}
    return {
        "model": manifest.model,
        "digest": manifest.digest,
        "date": datetime.now(UTC).date().isoformat(),
        "device": device,
        "gpu": device_name(device),
        "onnxruntime": ort.__version__,
        "machine": machine(),
        "commit": commit(),
        "precisions": found,
        "server": server,
    }


def write(document: dict[str, Any], out: Path) -> Path:
    """Write the result file, and return its place."""
    path = out / FOLDER / f"{document['model']}-{document['date']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.gpu_check", description=__doc__)
    parser.add_argument("model", help="its name in models.toml")
    parser.add_argument("--out", type=Path, default=Path("models.out"), help="the artefacts")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    words = parser.parse_args()
    try:
        document = check(words.out / words.model / "gpu", words.device)
    except (BrokenArtefact, AnotherProvider) as error:
        raise SystemExit(str(error)) from error
    print(write(document, words.out))


if __name__ == "__main__":
    main()
