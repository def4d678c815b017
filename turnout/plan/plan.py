"""The plan: the artefacts to build, the stacks to deploy, their images, and what a deployment costs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from build import api
from build.plan import is_pushed
from build.step import Step
from contracts.limits import LAMBDA_MB_PER_VCPU, STREAM_INTEGRATION_TIMEOUT_S
from contracts.names import model_stack, router_stack, stream_function
from contracts.problems import Problem, ProblemsFound
from contracts.routes import Cascade
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Tier
from images.made.record import ImagesRecord, read_record
from stacks.costs.prices import price
from stacks.costs.requests import BYTES_PER_GB
from stacks.limits.throttle import long_texts_warning, stage_throttle, throttle_warning
from stacks.routes.cascades import read_cascades
from stacks.routes.sampling import compared
from stacks.scaling.starts import wake_of
from stacks.weights.proved import is_proved
from stacks.weights.serving import Serving
from turnout.image.footprint import Footprint, footprint, lambda_problems
from turnout.plan.around import Around, around, priced, usd_of
from turnout.plan.costs import BreakEven, TierCost, break_evens, model_costs, prices_json
from turnout.plan.domain import domain_json
from turnout.plan.gpu_memory import GpuMemory, gpu_memory
from turnout.plan.latency import read_artefact
from turnout.plan.pushed import NOT_PUSHED, PUSHED, pushed_bytes, serving_json, servings


class Undeployable(ProblemsFound):
    """A plan has what cannot be deployed; lists every problem."""

    code = "undeployable"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("not all of it can be deployed", problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan as a document, the footprints and costs of its tiers in the same order, and what cannot be deployed.

    `memories` are those of GPU tiers that write, where the model's size is known.
    """

    document: dict[str, Any]
    footprints: Sequence[Footprint | None]
    costs: Sequence[TierCost]
    break_evens: Sequence[BreakEven]
    around: Sequence[Around]
    memories: Sequence[GpuMemory]
    problems: Sequence[Problem]


def plan(deployment: Deployment, out: Path, images: Path) -> Plan:
    """Return what would be built and deployed, with the images that the record in a folder has; write nothing."""
    steps = {(step.model, step.tier): step for step in api.plan(deployment, out)}
    record = read_record(images)
    rows: list[dict[str, Any]] = []
    footprints: list[Footprint | None] = []
    costs: list[TierCost] = []
    evens: list[BreakEven] = []
    problems: list[Problem] = []
    memories = _memories(deployment, out)
    served, unserved = servings(deployment, out)
    problems += unserved
    for model in deployment.models:
        found = _footprints(deployment.name, model, out, record)
        # An image of AWS's is none of ours.
        footprints += [found.get(tier) for tier in model.tiers]
        of_model = model_costs(model, deployment, out, _bytes(found))
        costs += of_model
        evens += break_evens(model, of_model, deployment.region)
        for cost in of_model:
            step, spec = steps.get((model.name, cost.tier)), model.tiers[cost.tier]
            stack, size = model_stack(deployment.name, model.name, cost.tier), found.get(cost.tier)
            memory = memories.get(model.name) if cost.tier is Tier.GPU else None
            if size and isinstance(spec, CpuSpec):
                problems += lambda_problems(stack, spec, size)
            rows.append(
                {
                    "model": model.name,
                    "tier": cost.tier,
                    "stack": stack,
                    "source": step.source.kind if step else "weights in S3",
                    "build": _build(step, out / model.name / cost.tier),
                    "runs_on": runs_on(spec),
                    "image": size.to_json() if size else None,
                    "idle_usd_per_month": round(cost.idle_usd, 2),
                    "costs": cost.to_json(),
                    "gpu_memory": memory.to_json() if memory else None,
                    "vllm": _vllm(served.get(model.name), spec),
                    "proved": _proved(out, model.name, cost.tier),
                    "wake": _wake(spec, out / model.name / cost.tier, out),
                }
            )
    cascades, broken = _cascades(deployment, out)
    router = _router_image(deployment, record)
    beside = around(deployment, cascades, costs, pushed_bytes(deployment, out))
    idle = router + sum(usd_of(one.idle, deployment.region) for one in beside)
    throttle = stage_throttle(deployment, out)
    warnings = (
        throttle_warning(deployment, out, deployment.concurrency),
        long_texts_warning(deployment, out),
    )
    return Plan(
        document={
            "deployment": deployment.name,
            "region": deployment.region,
            "router": router_stack(deployment.name),
            "streams": _streams(deployment),
            "domain": domain_json(deployment),
            "throttle": {
                "rate": throttle.rate,
                "burst": throttle.burst,
                "warning": "; ".join(filter(None, warnings)),
            },
            "tiers": rows,
            "canaries": {
                model.name: compared(model, cascades.get(model.name))
                for model in deployment.models
                if model.cpu and model.cpu.canary_minutes
            },
            "cascades": {name: asdict(one) for name, one in cascades.items()},
            "idle_usd_per_month": round(sum(cost.idle_usd for cost in costs) + idle, 2),
            "around": [one.to_json(deployment.region) for one in beside],
            "break_even": [one.to_json() for one in evens],
            "prices": prices_json(priced(costs, beside, deployment.region)),
        },
        footprints=footprints,
        costs=costs,
        break_evens=evens,
        around=beside,
        memories=tuple(memories.values()),
        problems=[*problems, *broken],
    )


def _streams(deployment: Deployment) -> dict[str, Any] | None:
    """Return the front of streams, which a deployment has if a model writes."""
    if not deployment.streams:
        return None
    each = price("rest_request", deployment.region)
    return {
        "function": stream_function(deployment.name),
        "minutes": STREAM_INTEGRATION_TIMEOUT_S // 60,
        "usd_per_million_requests": round(each.first * 1e6, 2),
        "price": each.note,
    }


def _cascades(deployment: Deployment, out: Path) -> tuple[dict[str, Cascade], list[Problem]]:
    """Return the cascades of the artefacts that are built, and the problems of their calibrations."""
    manifests = {
        (model.name, tier): manifest
        for model in deployment.models
        for tier in model.tiers
        if (manifest := read_artefact(out / model.name / tier))
    }
    return read_cascades(deployment, out, manifests)


def _build(step: Step | None, folder: Path) -> str:
    """Return whether a tier has its artefact, and else why not; of weights that vLLM is given there is no step."""
    if step:
        return "current" if step.current else step.why
    manifest = read_artefact(folder)
    return PUSHED if manifest and manifest.pushed else NOT_PUSHED


def _vllm(serving: Serving | None, spec: CpuSpec | GpuSpec) -> dict[str, Any] | None:
    return serving_json(serving, spec) if serving and isinstance(spec, GpuSpec) else None


def _wake(spec: CpuSpec | GpuSpec, folder: Path, out: Path) -> dict[str, Any] | None:
    """Return how long a tier that sleeps takes to answer; None for one that does not sleep."""
    if not isinstance(spec, GpuSpec) or spec.min_instances:
        return None
    return wake_of(spec, read_artefact(folder), out).to_json()


def _proved(out: Path, model: str, tier: Tier) -> bool | None:
    """Return whether a tier's artefact is proved; None while there is none."""
    manifest = read_artefact(out / model / tier)
    return is_proved(out, manifest) if manifest else None


def _memories(deployment: Deployment, out: Path) -> dict[str, GpuMemory]:
    tiers = [
        (model, model.gpu)
        for model in deployment.models
        if model.gpu and not is_pushed(model.name, model.gpu, out)
    ]
    found = {model.name: gpu_memory(model, gpu, out) for model, gpu in tiers}
    return {name: memory for name, memory in found.items() if memory}


def _footprints(
    deployment: str, model: ModelSpec, out: Path, record: ImagesRecord
) -> dict[Tier, Footprint | None]:
    return {
        tier: footprint(
            model_stack(deployment, model.name, tier), spec, out / model.name / tier, record
        )
        for tier, spec in model.tiers.items()
        if not (isinstance(spec, GpuSpec) and is_pushed(model.name, spec, out))
    }


def _bytes(found: Mapping[Tier, Footprint | None]) -> dict[Tier, int]:
    return {tier: size.compressed for tier, size in found.items() if size}


def _router_image(deployment: Deployment, record: ImagesRecord) -> float:
    """Return what the router's image costs a month; nothing else of the router costs while idle."""
    made = record.made.get(router_stack(deployment.name))
    size = made.size / BYTES_PER_GB if made else 0
    return price("image_gb_month", deployment.region).usd(size)


def runs_on(spec: CpuSpec | GpuSpec) -> str:
    if isinstance(spec, GpuSpec):
        return f"SageMaker {spec.instance}"
    return f"Lambda {spec.memory_mb} MB, {spec.memory_mb / LAMBDA_MB_PER_VCPU:.1f} vCPU"
