"""One proof in a copy of the tree: `python -m tests.build.reading.mutants.run ORDER` writes what stops a build.

ORDER is a file of JSON: `subject` of `SUBJECTS`, its `folder`, the `reference` of it as the real tree's build has it,
the graphs that were `prepared` there ("" to export anew), and an empty folder `place`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import build
from build.errors import BuildError, ReadingDiffers
from build.families.registry import family_of
from build.proof.sealing import seal
from build.reading.check import outputs
from build.reading.comparison import differences
from build.reading.outputs import Reference
from contracts.manifest import BrokenArtefact
from functions.inference.engine import Engine
from tests.build.reading.mutants.case import stopped_by
from tests.build.reading.mutants.code import SUBJECTS
from tests.build.reading.read_source import parts_of, planned


def outcome(order: dict[str, Any]) -> str:
    """Return the code that a build stops with, "" where it goes on."""
    try:
        check(order)
    except BrokenArtefact:
        return ReadingDiffers.code
    except BuildError as error:
        return stopped_by(error)
    return ""


def check(order: dict[str, Any]) -> None:
    """Compare every row as `build.reading.check` does; raise ReadingDiffers without looking for the likely setting.

    That would ask the library again, whose process takes longer to start than all the rest.
    """
    subject, place = SUBJECTS[order["subject"]], Path(order["place"])
    step = planned(Path(order["folder"]), place / "planned", subject.task, subject.rows)
    prepared = Path(order["prepared"]) if order["prepared"] else place / "prepared"
    parts = parts_of(step, prepared, place / "parts")
    reference = Reference(**order["reference"])
    recipe = family_of(step.source).recipes(step.source, step.tier, False)[0]
    seal(place / "sealed", step, recipe, parts, reference.outputs)
    most = max(len(row.request.inputs) for row in step.rows)
    engine = Engine.load(place / "sealed", max_inputs=most)
    for row, theirs, margins in zip(step.rows, reference.outputs, reference.margins, strict=True):
        ours = outputs(engine, row.request, theirs, margins)
        if not differences(subject.task, ours, theirs, margins).allowed:
            raise ReadingDiffers(f"row {row.request.to_wire()}")


def main() -> None:
    """Write the outcome, and where the code lies that was run, as a line of JSON."""
    order = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    answer = {"tree": str(Path(build.__file__).parents[1]), "outcome": outcome(order)}
    sys.stdout.write(f"{json.dumps(answer)}\n")


if __name__ == "__main__":
    main()
