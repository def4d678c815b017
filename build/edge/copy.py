"""The edge copy made: written, run where none of our code is, compared with the artefact it is of, published."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from build.edge.script import FOLDER, SCRIPT, outdated_reason, write_copy
from build.errors import EdgeDiffers
from build.proof.golden import Golden, read_golden
from build.proof.replay import APART, Replay, max_difference, unloadable_reason
from build.workspace.publish import publish
from contracts.manifest import BrokenArtefact, Manifest, verify
from contracts.tasks import Tier
from functions.inference.engine import Engine

# What the served code tells besides an answer, and the script does not.
BESIDES = {"tokens", "truncated", "finish_reason", "generated_tokens"}
TIMEOUT_S = 600


def copy_edge(artefact: Path, work: Path) -> None:
    """Put the copy beside a sealed artefact, proven on its golden rows; raises EdgeDiffers. It is made in `work`."""
    manifest = verify(artefact)
    folder = work / FOLDER
    write_copy(artefact, manifest, folder)
    prove(folder, artefact, manifest)
    publish(folder, artefact.parent / FOLDER)


def replay_copy(name: str, place: Path) -> Replay:
    """Whether the copy beside a CPU artefact is whole, and answers the golden rows as that does now."""
    artefact, folder = place / Tier.CPU, place / FOLDER
    try:
        manifest = verify(artefact)
        if why := outdated_reason(folder, artefact, manifest):
            return Replay(name=name, broken=f"{folder}: {why}; build the model again")
        rows = prove(folder, artefact, manifest)
    except (BrokenArtefact, EdgeDiffers) as error:
        return Replay(name=name, broken=str(error))
    except Exception as error:  # ONNX Runtime's kinds of error have no base of their own
        return Replay(name=name, broken=unloadable_reason(artefact, error))
    return Replay(name=name, version=manifest.version, rows=rows, same=rows)


def prove(folder: Path, artefact: Path, manifest: Manifest) -> int:
    """Ask the copy in the folder the golden rows, and give their number.

    Raises EdgeDiffers where it does not answer as the artefact.
    """
    golden = read_golden(artefact)
    engine = Engine.open(artefact, manifest, max_inputs=max(len(g.request.inputs) for g in golden))
    right = [list(engine.predict(row.request).outputs) for row in golden]
    wrong = [
        row
        for row, ours, theirs in zip(golden, right, run(folder, golden), strict=True)
        if not same(ours, theirs)
    ]
    if wrong:
        raise EdgeDiffers(
            f"{manifest.model}: {SCRIPT} of its edge copy answers {len(wrong)} of {len(golden)} golden rows otherwise "
            f"than the artefact, such as {json.dumps(wrong[0].request.to_wire(), ensure_ascii=False)}; "
            "take `edge` out of its table, the artefact itself is proven"
        )
    return len(golden)


def run(folder: Path, golden: Sequence[Golden]) -> list[Any]:
    """What the copy's script answers, asked in a process that sees nothing of ours; raises EdgeDiffers."""
    asked = "".join(json.dumps(row.request.to_wire()) + "\n" for row in golden)
    done = subprocess.run(
        [sys.executable, "-I", str((folder / SCRIPT).resolve())],
        input=asked,
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        timeout=TIMEOUT_S,
        check=False,
    )
    lines = done.stdout.removesuffix("\n").split("\n") if done.stdout else []
    if done.returncode or len(lines) != len(golden):
        last = "".join(done.stderr.strip().splitlines()[-1:])
        raise EdgeDiffers(
            f"{SCRIPT} of the edge copy ended with {done.returncode} after {len(lines)} of {len(golden)} golden rows "
            f"({last}); take `edge` out of the model's table, the artefact itself is proven"
        )
    return [json.loads(line)["outputs"] for line in lines]


def same(ours: Sequence[dict[str, Any]], theirs: object) -> bool:
    """Whether the script says all that the served code answers, floats to within a thousandth."""
    answers = [{k: _whole(v) for k, v in output.items() if k not in BESIDES} for output in ours]
    far, equal = max_difference(answers, theirs)
    return equal and far <= APART


def _whole(value: Any) -> Any:
    """A text without the characters that are not finished at its end, which the served code may tell."""
    return value.rstrip("\ufffd") if isinstance(value, str) else value
