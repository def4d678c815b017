"""Time from process start to the first correct answer: the CPU function against a minimal script.

Both run in the function's own environment, which holds its locked dependencies alone, interleaved. The minimal script
is what anyone would write with numpy, onnxruntime and tokenizers: no checks, no errors.
"""

import argparse
import os
import statistics
import subprocess
import time
from pathlib import Path

from benchmarks.record import ROOT, Row, publish
from build.proof.golden import read_golden
from local.python_environments import python_for

MODEL = "support-intent"

MINIMAL = """
import json, os, platform, sys
import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer
folder, text = sys.argv[1:]
labels = json.load(open(folder + "/manifest.json"))["labels"]
tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
kernels = os.path.abspath(folder) + "/kernels-" + platform.machine() + ".so"
if os.path.exists(kernels):
    options.register_custom_ops_library(kernels)
session = ort.InferenceSession(folder + "/model.onnx", options, providers=["CPUExecutionProvider"])
e = tokenizer.encode(text)
columns = {"input_ids": e.ids, "attention_mask": e.attention_mask, "token_type_ids": e.type_ids}
feeds = {i.name: np.array([columns[i.name]], np.int64) for i in session.get_inputs()}
print(labels[int(session.run(None, feeds)[0][0].argmax())])
"""

OURS = """
import sys
from functions.cpu.handler import handler
print(handler({"inputs": [sys.argv[2]], "parameters": {}}, None)["outputs"][0]["label"])
"""


def seconds(python: Path, code: str, folder: Path, text: str) -> tuple[float, str]:
    """Return the seconds that a fresh process took, and its label."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "TURNOUT_MODEL_DIR": str(folder),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    start = time.perf_counter()
    done = subprocess.run(
        [str(python), "-c", code, str(folder), text],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - start, done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold_start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    folder = ROOT / "models.out" / MODEL / "cpu"
    golden = read_golden(folder)[0]
    text, label = str(golden.request.inputs[0]), golden.built[0]["label"]
    python = python_for(ROOT / "functions/cpu", ROOT / ".turnout/venvs", report=print)
    contenders = {"minimal script": MINIMAL, "cpu function": OURS}
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for code in contenders.values():
        # The first process of each compiles its modules and reads the files from the disk; it is not counted.
        seconds(python, code, folder, text)
    for _ in range(rounds):
        for name, code in contenders.items():
            took, answer = seconds(python, code, folder, text)
            if answer != label:
                raise SystemExit(f"{name} answered {answer!r} instead of {label!r}")
            samples[name].append(took * 1e3)
    base = statistics.median(samples["minimal script"])
    rows: list[Row] = [
        {
            "what": name,
            "median ms": round(statistics.median(values)),
            "min ms": round(min(values)),
            "max ms": round(max(values)),
            "ratio": round(statistics.median(values) / base, 2),
        }
        for name, values in samples.items()
    ]
    publish("cold_start", rows, rounds=rounds)


if __name__ == "__main__":
    main()
