"""`turnout plan`: the artefacts to build, the stacks to deploy, and their cost while idle."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from build import api
from contracts.limits import LAMBDA_MB_PER_VCPU
from contracts.names import model_stack, router_stack
from contracts.specs import CpuSpec, Deployment, GpuSpec
from contracts.tasks import Tier
from stacks.costs import idle_gpu_cost


def plan(deployment: Deployment, out: Path) -> dict[str, Any]:
    """Return the plan as a document; write nothing."""
    steps = {(step.model, step.tier): step for step in api.plan(deployment, out)}
    rows: list[dict[str, Any]] = [
        {
            "model": model.name,
            "tier": tier,
            "stack": model_stack(deployment.name, model.name, tier),
            "source": steps[model.name, tier].source.kind,
            "build": "current" if steps[model.name, tier].current else steps[model.name, tier].why,
            "runs_on": runs_on(spec),
            "idle_usd_per_month": round(idle(spec), 2),
        }
        for model in deployment.models
        for tier, spec in model.tiers.items()
    ]
    return {
        "deployment": deployment.name,
        "region": deployment.region,
        "router": router_stack(deployment.name),
        "tiers": rows,
        "idle_usd_per_month": round(sum(float(row["idle_usd_per_month"]) for row in rows), 2),
    }


def runs_on(spec: CpuSpec | GpuSpec) -> str:
    if isinstance(spec, GpuSpec):
        return f"SageMaker {spec.instance}"
    return f"Lambda {spec.memory_mb} MB, {spec.memory_mb / LAMBDA_MB_PER_VCPU:.1f} vCPU"


def idle(spec: CpuSpec | GpuSpec) -> float:
    """Return the cost of an idle tier in US dollars a month; an idle function costs nothing."""
    return idle_gpu_cost(spec.instance) if isinstance(spec, GpuSpec) else 0.0


def show(plan: dict[str, Any], console: Console) -> None:
    names = ("model", "tier", "source", "build", "runs on", "stack", "idle")
    table = Table(*names, box=None, pad_edge=False)
    for row in plan["tiers"]:
        cost = f"${row['idle_usd_per_month']:,.0f} a month"
        shown = (row[key] for key in ("model", "tier", "source", "build", "runs_on", "stack"))
        table.add_row(*shown, cost)
    console.print(table)
    console.print(f"\nrouter: stack {plan['router']} in {plan['region']}, HTTP API, $0 while idle")
    for row in plan["tiers"]:
        if row["tier"] == Tier.GPU:
            # A GPU is billed by the hour from the deployment on, so this is said before anything is deployed.
            console.print(
                f"[bold yellow]{row['stack']} costs ${row['idle_usd_per_month']:,.0f} a month even when nobody "
                f"calls it[/]: its {row['runs_on'].split()[-1]} runs day and night until you `cdk destroy` it.",
                soft_wrap=True,
            )
