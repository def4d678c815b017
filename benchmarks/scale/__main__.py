"""Deployments of 1, 10 and 100 models: resources of each stack, a synthesis phase by phase, the start of the router.

Times are those of the processor, since machines are shared.

All models are one that was built (`make models`), under other names; every tenth has a GPU tier as well.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, ROOT, Row, publish
from benchmarks.scale.deployments import deployment, inputs_of, write_artefacts
from benchmarks.scale.plot import plot
from benchmarks.scale.router_start import starts
from contracts.names import router_stack
from contracts.tasks import Tier
from stacks.routes.table import make_routes, read_artefacts

COUNTS = (1, 10, 100)
PLOT = ROOT / "docs/scale.svg"


def row(count: int, artefact: Path, folder: Path) -> tuple[Row, str]:
    """Return the figures of one deployment, synthesised in a process of its own, and its route table."""
    of = deployment(count)
    write_artefacts(of, artefact, folder / "models.out")
    inputs = inputs_of(of, folder)
    artefacts, _ = read_artefacts(of, inputs.out)
    routes = make_routes(of, artefacts, inputs.key_hashes, inputs.out).to_json()
    command = [sys.executable, "-m", "benchmarks.scale.synthesis", str(count), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-4000:])
    took: dict[str, float] = json.loads(done.stdout.splitlines()[-1])["seconds"]
    stacks = resources(folder / "cdk.out")
    policies = policy_bytes(folder / "cdk.out" / f"{router_stack(of.name)}.template.json")
    return {
        "models": count,
        "stacks": len(stacks),
        "resources of a CPU stack": stacks[f"{of.name}-{of.models[0].name}-{Tier.CPU}"],
        "of a GPU stack": stacks[f"{of.name}-{of.models[0].name}-{Tier.GPU}"],
        "of the router's": stacks[router_stack(of.name)],
        "bytes of its role's policy": policies,
        "KB of routes": round(len(routes) / 1e3, 1),
        "MB of assembly": round(size_of(folder / "cdk.out") / 1e6),
        **{f"s {phase}": seconds for phase, seconds in took.items()},
        "s in all": round(sum(took.values()), 1),
    }, routes


def resources(assembly: Path) -> dict[str, int]:
    """Return the number of resources of each stack."""
    return {
        path.name.removesuffix(".template.json"): len(
            json.loads(path.read_text("utf-8"))["Resources"]
        )
        for path in assembly.glob("*.template.json")
    }


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def policy_bytes(template: Path) -> int:
    """Return the characters of the longest policy in a template, whose tokens are a little longer than their values."""
    found: dict[str, Any] = json.loads(template.read_text("utf-8"))["Resources"]
    return max(
        len(json.dumps(one["Properties"]["PolicyDocument"], separators=(",", ":")))
        for one in found.values()
        if one["Type"] == "AWS::IAM::Policy"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument(
        "--artefact", type=Path, default=ROOT / "models.out/support-intent/cpu", help="one to copy"
    )
    parser.add_argument("--rounds", type=int, default=10, help="how often the router is started")
    words = parser.parse_args()
    rows: list[Row] = []
    tables: dict[int, str] = {}
    for count in COUNTS:
        # The models are linked; the CDK copies all of them into its assembly, which is removed at once.
        folder = Path(tempfile.mkdtemp(prefix="turnout-scale-", dir=ROOT / ".turnout"))
        try:
            found, tables[count] = row(count, words.artefact, folder)
            rows.append(found)
        finally:
            shutil.rmtree(folder)
    with tempfile.TemporaryDirectory() as routes:
        took = starts(tables, Path(routes), words.rounds)
    for found in rows:
        found["ms to start the router"] = round(took[int(found["models"])])
    publish("scale", rows, rounds=words.rounds, command="benchmarks.scale")
    PLOT.write_text(plot(json.loads((RESULTS / "scale.json").read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
