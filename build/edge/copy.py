"""The edge copy of a sealed artefact: written, proven in a process that has none of our code, and published."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from build.edge.contents import ARCHIVE, FOLDER, outdated_reason, write_copy
from build.errors import EdgeDiffers
from build.proof.golden import GoldenRow, read_golden
from build.proof.replay import Replay, unloadable_reason
from build.workspace.publish import publish
from contracts.manifest import BrokenArtefact, Manifest, verify
from contracts.tasks import Tier
from functions.inference.engine import Engine

TIMEOUT_S = 600


def copy_edge(artefact: Path, work: Path) -> None:
    """Publish the copy beside a sealed artefact, proved on its golden rows; raise EdgeDiffers.

    It is made in `work` first, so that an older copy stays where it is until the new one is proved.
    """
    manifest = verify(artefact)
    folder = work / FOLDER
    write_copy(artefact, manifest, folder)
    prove(folder, artefact, manifest)
    publish(folder, artefact.parent / FOLDER)


def replay_copy(name: str, place: Path) -> Replay:
    """Check the copy beside a CPU artefact, and compare its answers to the golden rows with those of the artefact."""
    artefact, folder = place / Tier.CPU, place / FOLDER
    try:
        manifest = verify(artefact)
        if reason := outdated_reason(folder, manifest):
            return Replay(name=name, broken=f"{folder}: {reason}; build the model again")
        rows = prove(folder, artefact, manifest)
    except (BrokenArtefact, EdgeDiffers) as error:
        return Replay(name=name, broken=str(error))
    except Exception as error:  # ONNX Runtime's errors have no base class of their own
        return Replay(name=name, broken=unloadable_reason(artefact, error))
    return Replay(name=name, version=manifest.version, rows=rows, same=rows)


def prove(folder: Path, artefact: Path, manifest: Manifest) -> int:
    """Run the copy on the golden rows and return their number.

    Raise EdgeDiffers unless its outputs equal those of the artefact, run by the same code on as many threads.
    """
    golden = read_golden(artefact)
    # The runner has no limit on inputs and ONNX Runtime's own number of threads, and so has the artefact here.
    engine = Engine.open(artefact, manifest, max_inputs=sys.maxsize, threads=0)
    differing = [
        row
        for row, answer in zip(golden, run(folder, golden), strict=True)
        if answer.get("outputs") != _as_json(engine.predict(row.request).outputs)
    ]
    if differing:
        request = json.dumps(differing[0].request.to_wire(), ensure_ascii=False)
        raise EdgeDiffers(
            f"{manifest.model}: {ARCHIVE} of its edge copy answers {len(differing)} of {len(golden)} golden rows "
            f"otherwise than the artefact, such as {request}; take `edge` out of its table, the artefact itself is "
            "proven"
        )
    return len(golden)


def run(folder: Path, golden: Sequence[GoldenRow]) -> list[dict[str, Any]]:
    """Return the copy's answers to the golden rows; raise EdgeDiffers if it ends before it has answered them all.

    Its process is isolated (`-I`): it sees the archive and the installed packages, and nothing of the checkout.
    """
    completed = subprocess.run(
        [sys.executable, "-I", str((folder / ARCHIVE).resolve())],
        input="".join(json.dumps(row.request.to_wire()) + "\n" for row in golden),
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        timeout=TIMEOUT_S,
        check=False,
    )
    # Not `splitlines`: JSON leaves characters within texts as they are that Python takes for ends of lines.
    lines = completed.stdout.removesuffix("\n").split("\n") if completed.stdout else []
    if len(lines) != len(golden):
        last = "".join(completed.stderr.strip().splitlines()[-1:])
        raise EdgeDiffers(
            f"{ARCHIVE} of the edge copy ended with {completed.returncode} after {len(lines)} of {len(golden)} golden "
            f"rows ({last}); take `edge` out of the model's table, the artefact itself is proven"
        )
    return [json.loads(line) for line in lines]


def _as_json(outputs: object) -> Any:
    """Return the outputs as they are once they were sent: tuples are lists, floats keep every digit."""
    return json.loads(json.dumps(outputs))
