"""`turnout plan`: the artefacts to build, the stacks to deploy, their images, and their cost while idle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from build import api
from contracts.limits import LAMBDA_IMAGE_BYTES, LAMBDA_INIT_S, LAMBDA_MB_PER_VCPU
from contracts.names import model_stack, router_stack
from contracts.problems import Problem, ProblemsFound
from contracts.specs import CpuSpec, Deployment, GpuSpec
from contracts.tasks import Tier
from images.made.record import read_record
from stacks.costs import idle_gpu_cost
from stacks.instances import price_note
from turnout.image.footprint import (
    Footprint,
    footprint,
    gb,
    lambda_problems,
    shown_init,
    shown_sizes,
)


class Undeployable(ProblemsFound):
    """A plan has what cannot be deployed; lists every problem."""

    code = "undeployable"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("not all of it can be deployed", problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan as a document, the footprints of its tiers' images in the same order, and what cannot be deployed."""

    document: dict[str, Any]
    footprints: Sequence[Footprint | None]
    problems: Sequence[Problem]


def plan(deployment: Deployment, out: Path, images: Path) -> Plan:
    """Return what would be built and deployed, with the images that the record in a folder has; write nothing."""
    steps = {(step.model, step.tier): step for step in api.plan(deployment, out)}
    record = read_record(images)
    rows: list[dict[str, Any]] = []
    footprints: list[Footprint | None] = []
    problems: list[Problem] = []
    for model in deployment.models:
        for tier, spec in model.tiers.items():
            step, stack = steps[model.name, tier], model_stack(deployment.name, model.name, tier)
            found = footprint(stack, spec, out / model.name / tier, record)
            footprints.append(found)
            if found and isinstance(spec, CpuSpec):
                problems += lambda_problems(stack, spec, found)
            rows.append(
                {
                    "model": model.name,
                    "tier": tier,
                    "stack": stack,
                    "source": step.source.kind,
                    "build": "current" if step.current else step.why,
                    "runs_on": runs_on(spec),
                    "image": found.to_json() if found else None,
                    "idle_usd_per_month": round(idle(spec), 2),
                }
            )
    document = _document(deployment, rows)
    return Plan(document=document, footprints=footprints, problems=problems)


def _document(deployment: Deployment, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "deployment": deployment.name,
        "region": deployment.region,
        "router": router_stack(deployment.name),
        "tiers": rows,
        "idle_usd_per_month": round(sum(float(row["idle_usd_per_month"]) for row in rows), 2),
        "prices": price_note(),
    }


def _images(found: Plan) -> Table:
    """Return the table of images, with Lambda's limits at its top."""
    limits = (f"unpacked (Lambda: {gb(LAMBDA_IMAGE_BYTES)})", f"INIT (Lambda: {LAMBDA_INIT_S} s)")
    table = Table("image", "compressed", *limits, box=None, pad_edge=False)
    for row, size in zip(found.document["tiers"], found.footprints, strict=True):
        start = "" if row["tier"] == Tier.GPU else shown_init(size)
        table.add_row(row["stack"], *shown_sizes(size), start)
    return table


def runs_on(spec: CpuSpec | GpuSpec) -> str:
    if isinstance(spec, GpuSpec):
        return f"SageMaker {spec.instance}"
    return f"Lambda {spec.memory_mb} MB, {spec.memory_mb / LAMBDA_MB_PER_VCPU:.1f} vCPU"


def idle(spec: CpuSpec | GpuSpec) -> float:
    """Return the cost of an idle tier in US dollars a month; an idle function costs nothing."""
    return idle_gpu_cost(spec.instance) if isinstance(spec, GpuSpec) else 0.0


def show(found: Plan, console: Console) -> None:
    plan = found.document
    names = ("model", "tier", "source", "build", "runs on", "stack", "idle")
    table = Table(*names, box=None, pad_edge=False)
    for row in plan["tiers"]:
        cost = f"${row['idle_usd_per_month']:,.0f} a month"
        shown = (row[key] for key in ("model", "tier", "source", "build", "runs_on", "stack"))
        table.add_row(*shown, cost)
    console.print(table)
    console.print()
    console.print(_images(found))
    console.print(f"\nrouter: stack {plan['router']} in {plan['region']}, HTTP API, $0 while idle")
    for row in plan["tiers"]:
        if row["tier"] == Tier.GPU:
            # A GPU is billed by the hour from the deployment on, so this is said before anything is deployed.
            instance = row["runs_on"].split()[-1]
            console.print(
                f"[bold yellow]{row['stack']} costs ${row['idle_usd_per_month']:,.0f} a month even when nobody "
                f"calls it[/] ({plan['prices']}): its {instance} runs day and night until you `cdk destroy` it. "
                f"While it is updated a second one runs, so the account needs a quota of 2 for "
                f"{instance} for endpoint usage.",
                soft_wrap=True,
            )
