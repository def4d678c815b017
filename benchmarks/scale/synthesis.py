"""One synthesis, phase by phase, in a process of its own: `python -m benchmarks.scale.synthesis COUNT FOLDER`.

The folder has the artefacts; a line of JSON is printed.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT


def synthesise(count: int, folder: Path) -> dict[str, Any]:
    """Return the seconds of each phase, and the process's peak memory."""
    clock = Clock()
    from aws_cdk import App, Tags, Validations
    from cdk_nag import AwsSolutionsChecks

    from benchmarks.scale.deployments import deployment, inputs_of
    from stacks.app import add_stacks, image_sources
    from stacks.route_table import read_artefacts

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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    # The CDK itself runs in Node, a child that ends with this process, so its peak is read while it lives.
    return {"seconds": clock.laps, "peak_mb": round(max(peak, children) / 1024)}


class Clock:
    """Seconds since the last lap, by the names of the laps."""

    def __init__(self) -> None:
        self.at, self.laps = time.perf_counter(), dict[str, float]()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self.at, 2)
        self.at = now


if __name__ == "__main__":
    print(json.dumps(synthesise(int(sys.argv[1]), Path(sys.argv[2]))))
