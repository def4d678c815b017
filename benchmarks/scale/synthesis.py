"""One synthesis, phase by phase, in a process of its own: `python -m benchmarks.scale.synthesis COUNT FOLDER`.

The folder has the artefacts; a line of JSON is printed.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT


def synthesise(count: int, folder: Path) -> dict[str, Any]:
    """Return the seconds of processor time of each phase."""
    clock = Clock()
    from aws_cdk import App, Tags, Validations
    from cdk_nag import AwsSolutionsChecks

    from benchmarks.scale.deployments import deployment, inputs_of
    from stacks.app import add_stacks, image_sources
    from stacks.routes.table import read_artefacts

    clock.lap("imports")
    inputs = inputs_of(deployment(count), folder)
    artefacts, problems = read_artefacts(inputs.deployment, inputs.out)
    clock.lap("artefacts verified")
    images, more = image_sources(inputs, artefacts)
    if problems or more:
        raise SystemExit(f"{problems} {more}")
    clock.lap("images staged")
    context = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    app = App(outdir=str(folder / "cdk.out"), context=context)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    add_stacks(app, inputs, artefacts, images)
    Tags.of(app).add("turnout", inputs.deployment.name)
    clock.lap("stacks made")
    app.synth()
    clock.lap("templates written and checked")
    return {"seconds": clock.laps}


class Clock:
    """Seconds of processor time since the last lap, by the names of the laps: machines are shared, and wait."""

    def __init__(self) -> None:
        self.at, self.laps = processor_s(), dict[str, float]()

    def lap(self, name: str) -> None:
        now = processor_s()
        self.laps[name] = round(now - self.at, 2)
        self.at = now


def processor_s() -> float:
    """Return the processor time of this process and of those below it, such as the CDK in Node."""
    below = [os.getpid()]
    total = time.process_time()
    found = {pid: stat for pid, stat in _processes()}
    while below:
        parent = below.pop()
        for pid, (ppid, seconds) in found.items():
            if ppid == parent:
                total += seconds
                below.append(pid)
    return total


def _processes() -> Iterator[tuple[int, tuple[int, float]]]:
    """Yield each process with its parent, and the seconds of it and of its children that have ended (proc(5))."""
    tick = os.sysconf("SC_CLK_TCK")
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            # It ended in between.
            continue
        yield int(path.parent.name), (int(fields[1]), sum(map(int, fields[11:15])) / tick)


if __name__ == "__main__":
    print(json.dumps(synthesise(int(sys.argv[1]), Path(sys.argv[2]))))
