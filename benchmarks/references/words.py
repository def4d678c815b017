"""Word vectors on GloVe's 400,000 words of 50 numbers: built, proven, and timed beside gensim.

`benchmarks.references.glove_text` makes the file, and `python -m benchmarks.references.words glove.txt` measures it.
Each contender has a process and one thread of its own; they run in turn, round after round, and medians count. Loading
is from the first import of a library to the first answer that it could return, for ours with every byte checked against
the seal.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.record import Row, publish
from build import api
from build.proof.worker_client import Worker
from build.workspace.json_process import JsonProcess
from contracts.manifest import read_manifest
from contracts.prediction import PredictRequest
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task
from functions.inference.engine import Engine

ROUNDS, REPEATS, LOADS = 15, 5, 5
WORDS = ("king", "music", "paris", "monday", "physics", "river", "green", "seven")

# gensim's side of a request, in a process of its own; it loads its own format, mapped into memory.
GENSIM = r"""
import json, sys, time
from pathlib import Path
start = time.perf_counter()
from gensim.models import KeyedVectors
vectors = KeyedVectors.load(sys.argv[1], mmap="r")
def send(**values):
    print(json.dumps(values), flush=True)
send(load_ms=(time.perf_counter() - start) * 1e3)
for line in sys.stdin:
    request = json.loads(line)
    took = []
    for _ in range(request["repeats"]):
        begin = time.perf_counter()
        if request["nearest"]:
            found = [vectors.most_similar(word, topn=10) for word in request["words"]]
        else:
            found = [vectors[word].tolist() for word in request["words"]]
        took.append((time.perf_counter() - begin) * 1e3)
    status = Path("/proc/self/status").read_text("utf-8").splitlines()
    peak = next(int(s.split()[1]) / 1024 for s in status if s.startswith("VmHWM"))
    send(ms=took, peak_mb=peak, outputs=found)
"""


def rows(destination: Path) -> Path:
    """Return WordSim-353 (Finkelstein et al. 2002), as gensim ships it, as labelled rows."""
    from gensim.test.utils import datapath

    lines = Path(datapath("wordsim353.tsv")).read_text("utf-8").splitlines()
    pairs = [line.lower().split("\t") for line in lines if not line.startswith("#")]
    documents = [{"text": a, "other": b, "score": float(score)} for a, b, score in pairs]
    destination.write_text("".join(json.dumps(d) + "\n" for d in documents), "utf-8")
    return destination


def built(source: Path, folder: Path) -> dict[str, Any]:
    """Build the file for both tiers, the second in full precision, and return the evidence of the first."""
    spec = ModelSpec(
        name="glove",
        source=source,
        task=Task.WORD_VECTORS,
        eval=rows(folder / "rows.jsonl"),
        cpu=CpuSpec(),
        gpu=GpuSpec(instance="ml.g6.xlarge"),
    )
    out = folder / "models.out"
    api.run(api.plan(Deployment(models=(spec,)), out), out)
    evidence: dict[str, Any] = json.loads((out / "glove/evidence/cpu.json").read_text("utf-8"))
    return evidence


def saved(source: Path, destination: Path) -> Path:
    """Save the same vectors in gensim's own format."""
    from gensim.models import KeyedVectors

    vectors = KeyedVectors.load_word2vec_format(str(source), no_header=True)
    vectors.fill_norms()
    vectors.save(str(destination))
    return destination


class Gensim(JsonProcess):
    """gensim in a process of its own."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            [sys.executable, "-c", GENSIM, str(path)],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        self.size = sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*"))
        self.load_ms = float(self.receive()["load_ms"])

    def run(self, words: Sequence[str], nearest: bool) -> dict[str, Any]:
        return self.ask(words=list(words), nearest=nearest, repeats=REPEATS)


Run = Callable[[Sequence[str], bool], dict[str, Any]]


def loading(folder: Path, ours: Sequence[str], gensim: Path) -> list[float]:
    """Return each one's load time in ms: one after the other, so that each is undisturbed, and medians."""
    took: list[list[float]] = [[] for _ in (*ours, gensim)]
    for _ in range(LOADS):
        for tier, ms in zip(ours, took, strict=False):
            with Worker(folder / tier) as worker:
                ms.append(worker.wait_until_loaded())
        with Gensim(gensim) as other:
            took[-1].append(other.load_ms)
    return [statistics.median(ms) for ms in took]


def timed(folder: Path, ours: Sequence[str], gensim: Path, stack: ExitStack) -> list[Row]:
    """Return a row per contender: sizes, load time, and medians over interleaved rounds."""

    def runner(worker: Worker) -> Run:
        def run(words: Sequence[str], nearest: bool) -> dict[str, Any]:
            parameters = {"nearest": 10} if nearest else {}
            request = PredictRequest(inputs=tuple(words), parameters=parameters)
            return worker.run(request, repeats=REPEATS, with_outputs=True)

        return run

    loads = loading(folder, ours, gensim)
    workers = [stack.enter_context(Worker(folder / tier)) for tier in ours]
    for worker in workers:
        worker.wait_until_loaded()
    theirs = stack.enter_context(Gensim(gensim))
    runs: list[Run] = [*map(runner, workers), theirs.run]
    names = [*(f"ours, {json_of(folder / tier)['recipe']}" for tier in ours), "gensim, float32"]
    sizes = [*(json_of(folder / tier)["size"] for tier in ours), theirs.size]
    took: list[dict[str, list[float]]] = [{"vector": [], "nearest": []} for _ in runs]
    peaks = [0.0] * len(runs)
    for number in range(ROUNDS + 1):
        word = WORDS[number % len(WORDS)]
        for i, run in enumerate(runs):
            for what in took[i]:
                reply = run([word], what == "nearest")
                took[i][what].append(statistics.median(reply["ms"]))
                peaks[i] = reply["peak_mb"]
    return [
        {
            "what": name,
            "MB": round(size / 1e6, 1),
            "load ms": round(load, 1),
            # The first round warms up.
            "ms per vector": round(statistics.median(one["vector"][1:]), 4),
            "ms per 10 nearest": round(statistics.median(one["nearest"][1:]), 2),
            "peak MB": round(peak),
        }
        for name, size, load, one, peak in zip(names, sizes, loads, took, peaks, strict=True)
    ]


def json_of(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    return {"recipe": manifest.recipe, "size": manifest.size}


def analogy(folder: Path) -> list[dict[str, Any]]:
    """Return the shipped artefact's answer to king - man + woman."""
    request = {"positive": ["king", "woman"], "negative": ["man"]}
    (output,) = Engine.load(folder).predict(PredictRequest(inputs=(request,))).outputs
    nearest: list[dict[str, Any]] = output["nearest"]
    return nearest


def compile_all(folder: Path) -> None:
    """Compile the modules that contenders import, so that none does it while it is timed."""
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)
    ours = "build.proof.worker, build.evaluation.teacher_forcing, functions.inference.words.word_vectors"
    modules = f"{ours}, gensim.models"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", f"import {modules}"], env=environment, check=True)


def measure(source: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        compile_all(folder / "bytecode")
        evidence = built(source, folder)
        artefacts = folder / "models.out/glove"
        gensim = saved(source, folder / "vectors.kv")
        with ExitStack() as stack:
            found = timed(artefacts, ("cpu", "gpu"), gensim, stack)
        figures = {
            key: evidence[key]
            for key in (
                "cosine_mean",
                "cosine_p5",
                "neighbours",
                "found",
                "pairs",
                "spearman_original",
                "spearman_built",
                "difference_low",
                "difference_high",
                "seconds",
                "processors",
                "bytes_original",
            )
        }
        publish(
            "reference_words",
            found,
            command="benchmarks.references.words",
            king_man_woman=analogy(artefacts / "cpu"),
            build=figures,
            load_average=[round(value, 1) for value in os.getloadavg()],
        )


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
