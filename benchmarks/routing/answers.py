"""Both artefacts of a set, built as for a deployment, and their answers to its rows, kept for the next run."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.record import ROOT
from build.cascade.answers import Answers, compare
from build.cascade.artefacts import Manifests, cascade_artefacts
from build.cascade.rows import calibration_rows
from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.proof.native_run import run_on_rows
from build.tasks.registry import TASKS
from build.workspace.publish import write_atomically
from contracts.models_toml import read_models_toml
from contracts.tasks import Tier
from functions.inference.engine import Engine

INSTANCE, MEMORY_MB = "ml.g6.xlarge", 1769
# Requests whose processor time is measured.
TIMED = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The rows of a set with the answers of both artefacts, and the CPU tier's milliseconds of processor time a row."""

    rows_file: Path
    tiers: Manifests
    rows: Sequence[Row]
    answers: Answers
    cpu_ms: float

    @property
    def texts(self) -> list[str]:
        """Return the texts of the rows."""
        return [str(row.request.inputs[0]) for row in self.rows]


def write_config(work: Path, name: str) -> Path:
    """Write the models.toml of a set, whose tiers have each their own source."""
    config = work / name / "models.toml"
    config.write_text(
        f"[models.{name}]\n"
        'source = "cpu"\ntask = "text-classification"\neval = "gate.jsonl"\n'
        # The emulated processors would take minutes, and decide nothing here.
        f"cpu = {{ memory_mb = {MEMORY_MB}, portable = false }}\n"
        f'gpu = {{ instance = "{INSTANCE}", source = "gpu" }}\n',
        "utf-8",
    )
    return config


def build(work: Path, name: str) -> None:
    """Build both tiers of a set by the command line, as a user does, unless they are current."""
    config = write_config(work, name)
    command = [sys.executable, "-m", "turnout", "build", "--config", str(config)]
    subprocess.run([*command, "--out", str(work / name / "out")], cwd=ROOT, check=True)


def answered(work: Path, name: str) -> Answered:
    """Return the answers of both artefacts, each from the last run if it is of that artefact."""
    (spec,) = read_models_toml(work / name / "models.toml").models
    out = work / name / "out"
    tiers = cascade_artefacts(spec, out)
    rows_file = work / name / "routed.jsonl"
    rows, problems = calibration_rows(rows_file, TASKS[spec.task].rows, tiers[Tier.CPU])
    assert not problems, problems
    outputs = {
        tier: kept_outputs(
            work / name / f"outputs-{tier}.json", tiers[tier].digest, out / spec.name / tier, rows
        )
        for tier in tiers
    }
    answers = compare(tiers[Tier.CPU], rows, outputs[Tier.CPU], outputs[Tier.GPU])
    assert answers is not None
    cpu_ms = processor_ms(Engine.load(out / spec.name / Tier.CPU), rows[:TIMED])
    return Answered(rows_file=rows_file, tiers=tiers, rows=rows, answers=answers, cpu_ms=cpu_ms)


def kept_outputs(kept: Path, digest: str, artefact: Path, rows: Sequence[Row]) -> Sequence[Outputs]:
    """Return an artefact's outputs of the rows, which take minutes, and keep them under its digest."""
    if kept.is_file():
        document = json.loads(kept.read_text("utf-8"))
        if document["digest"] == digest and len(document["outputs"]) == len(rows):
            found: Sequence[Outputs] = document["outputs"]
            return found
    outputs = run_on_rows(artefact, rows, [[{}]] * len(rows))
    write_atomically(kept, json.dumps({"digest": digest, "outputs": outputs}))
    return outputs


def processor_ms(engine: Engine, rows: Sequence[Row]) -> float:
    """Return the mean milliseconds of processor time of a request: the machine may be shared, a function's is not."""
    engine.predict(rows[0].request)
    start = time.thread_time()
    for row in rows:
        engine.predict(row.request)
    return (time.thread_time() - start) / len(rows) * 1e3
