"""Memory of the CPU function, the build and the local cloud.

The function answers every evaluation row of the sentence encoder in its own environment, and its peak resident memory
is read afterwards. The local cloud is deployed with the example models, called on every tier, and read process by
process as PSS, which divides shared pages among the processes that map them. The build's peak is in its evidence.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.record import ROOT, Row, publish
from contracts.models_toml import read_models_toml
from local.python_environments import python_for
from turnout.client import predict
from turnout.local_deployment import Files, Laptop

MODEL = "sentence-embedding"
OUT = ROOT / "models.out"

CHILD = r"""
import json, re, sys
from functions.cpu.handler import handler
for line in open(sys.argv[1], encoding="utf-8"):
    answer = handler({"inputs": [json.loads(line)["text"]], "parameters": {}}, None)
    assert "outputs" in answer, answer
# Not getrusage: its peak counts what the process that started this one held.
print(int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


def function_peak_mb() -> float:
    python = python_for(ROOT / "functions/cpu", ROOT / ".turnout/venvs", print)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "TURNOUT_MODEL_DIR": str(OUT / MODEL / "cpu"),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "OPENBLAS_NUM_THREADS": "1",
    }
    rows = ROOT / f"examples/{MODEL}/eval.jsonl"
    done = subprocess.run(
        [str(python), "-c", CHILD, str(rows)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def build_peak_mb() -> int:
    found = [json.loads(path.read_text("utf-8")) for path in OUT.glob("*/evidence/*.json")]
    return max(int(evidence["peak_rss_mb"]) for evidence in found)


def cloud() -> list[tuple[str, float]]:
    """Return every process of the local cloud with both example models deployed and called."""
    deployment = read_models_toml(ROOT / "models.toml")
    files = Files(config=ROOT / "models.toml", out=OUT)
    with (
        tempfile.TemporaryDirectory() as folder,
        Laptop(deployment, files, state=Path(folder)) as laptop,
    ):
        endpoint = laptop.deploy()
        for model in deployment.models:
            for tier in model.tiers:
                reply = predict(endpoint, model.name, {"inputs": ["a text"], "tier": tier})
                if reply.status != 200:
                    raise SystemExit(f"{model.name} on {tier} answered {reply.body}")
        return [(process.name, process.pss_mb) for process in laptop.cloud.processes()]


def main() -> None:
    processes = cloud()
    rows: list[Row] = [
        {"what": f"CPU function, {MODEL} INT8, peak RSS", "MB": round(function_peak_mb())},
        {"what": "build of the example models, peak RSS", "MB": build_peak_mb()},
    ]
    rows += [{"what": f"local cloud: {name}, PSS", "MB": round(size)} for name, size in processes]
    rows += [
        {"what": "local cloud, all of it, PSS", "MB": round(sum(size for _, size in processes))}
    ]
    publish("memory", rows)


if __name__ == "__main__":
    main()
