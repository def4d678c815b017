"""`models.toml`, read strictly: every problem in the file is found at once and named with its key and its fix."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from contracts.problems import Code, ProblemsFound
from contracts.scaling.awake import FORM, NotHours, parse_awake
from contracts.settings import (
    ANSWERS,
    CPU_KEYS,
    DEPLOYMENT_KEYS,
    DOMAIN_KEYS,
    GATE_KEYS,
    GENERATED,
    GPU_KEYS,
    MAX_CERTIFIED_CHARS,
    MODEL_KEYS,
    MODEL_NAME,
    RATIO_FROM_1,
    SCORES,
    SHARE,
    SPLIT_KEYS,
    THROTTLE_KEYS,
    UNINFORMATIVE,
    VECTORS,
    of_task,
)
from contracts.specs import (
    CpuSpec,
    Deployment,
    Domain,
    Gate,
    GpuSpec,
    ModelSpec,
    SourceOptions,
    Throttle,
)
from contracts.tasks import ENCODER_TASKS, Runtime, Server, Task, Tier
from contracts.toml.kinds import FLAG, TABLE
from contracts.toml.tables import Tables, Unread, parse


class ConfigError(ProblemsFound):
    """`models.toml` cannot be used; `problems` has all of its problems."""

    code = "config_invalid"


class _Reader(Tables):
    """A reader of the file's tables."""

    def model(
        self, name: str, table: Any, base: Path, trusted: tuple[Path, ...]
    ) -> ModelSpec | None:
        at = f"models.{name}"
        before = len(self.problems)
        if not MODEL_NAME.accepts(name):
            self.refuse(
                at, f"{name!r} cannot be part of a URL and of AWS names", f"use {MODEL_NAME.name}"
            )
        if not isinstance(table, dict):
            self.refuse(at, "is not a table", f"write [{at}]")
            return None
        taken = self.take(at, table, MODEL_KEYS, "source", "task", "eval")
        if "cpu" not in table and "gpu" not in table:
            fix = 'add cpu = {} or gpu = { instance = "ml.g6.xlarge" }'
            self.refuse(at, "no tier", fix, Code.SETTING_MISSING)
        task = taken.get("task")
        cpu = self.cpu(f"{at}.cpu", taken["cpu"], taken) if "cpu" in taken else None
        gpu = self.gpu(f"{at}.gpu", taken["gpu"], task) if "gpu" in taken else None
        gate = self.gate(f"{at}.gate", taken.get("gate", {}), task)
        if taken.get("edge"):
            self.edge(f"{at}.edge", cpu)
        split = self.split(f"{at}.split", taken)
        if "dimensions" in taken and taken.get("task") not in (None, Task.FEATURE_EXTRACTION):
            detail = f"vectors of {Task.FEATURE_EXTRACTION} alone are shortened"
            self.refuse(f"{at}.dimensions", detail, "remove it")
        if len(self.problems) > before:
            return None
        if gpu and "source" in gpu:
            gpu["source"] = _from(base, gpu["source"])
        return ModelSpec(
            name=name,
            source=_from(base, taken["source"]),
            task=taken["task"],
            eval=base / taken["eval"],
            cpu=None if cpu is None else CpuSpec(**cpu),
            gpu=None if gpu is None else GpuSpec(**gpu),
            gate=gate,
            edge=taken.get("edge", False),
            split=split,
            dimensions=taken.get("dimensions", ()),
            trusted_keys=_all_from(base, taken["trusted_keys"])
            if "trusted_keys" in taken
            else trusted,
            source_options=SourceOptions(
                tokenizer=base / taken["tokenizer"] if "tokenizer" in taken else None,
                labels=taken.get("labels", ()),
                inputs=taken.get("inputs", ()),
                allow_pickle=taken.get("pickle", False),
            ),
        )

    def cpu(self, at: str, table: dict[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
        taken = self.take(at, table, of_task(CPU_KEYS, model.get("task")))
        if taken.get("runtime") is Runtime.OPENVINO:
            others = f'write runtime = "{Runtime.ONNX_RUNTIME}", or remove it'
            if model.get("task", Task.TEXT_CLASSIFICATION) not in ENCODER_TASKS:
                detail = f"OpenVINO runs no {model['task']} here"
                self.refuse(f"{at}.runtime", detail, others)
            if model.get("edge"):
                self.refuse(f"{at}.runtime", "an edge copy has ONNX Runtime", others)
        return taken

    def gpu(self, at: str, table: dict[str, Any], task: Task | None) -> dict[str, Any]:
        taken = self.take(at, table, of_task(GPU_KEYS, task), "instance")
        if taken.get("server") is Server.VLLM and task is not Task.TEXT_GENERATION:
            detail = f"vLLM serves {Task.TEXT_GENERATION} alone"
            self.refuse(f"{at}.server", detail, f'write server = "{Server.TURNOUT}", or remove it')
        default = GpuSpec(instance="")
        least = taken.get("min_instances", default.min_instances)
        most = taken.get("max_instances", default.max_instances)
        if least > most:
            detail = f"{least} is more than max_instances, which is {most}"
            self.refuse(f"{at}.min_instances", detail, f"write max_instances = {least}, or fewer")
        if "awake" in taken:
            try:
                taken["awake"] = parse_awake(taken["awake"])
            except NotHours as error:
                self.refuse(f"{at}.awake", str(error), f"write {FORM}")
            if least > 0:
                detail = f"has no effect while min_instances is {least}: the tier never sleeps"
                self.refuse(f"{at}.awake", detail, "write min_instances = 0, or remove it")
        return taken

    def gate(self, at: str, table: dict[str, Any], task: Task | None) -> Gate:
        keys = GATE_KEYS[task] if task else (*ANSWERS, *VECTORS, *GENERATED)
        kinds = {key: RATIO_FROM_1 if key in SCORES else SHARE for key in keys}
        return Gate(**self.take(at, table, {**kinds, UNINFORMATIVE: FLAG}))

    def edge(self, at: str, cpu: dict[str, Any] | None) -> None:
        if cpu is None:
            self.refuse(at, "there is no CPU tier to copy", "add cpu = {} or remove it")

    def split(self, at: str, model: Mapping[str, Any]) -> dict[Tier, int]:
        if "split" not in model:
            return {}
        taken = self.take(at, model["split"], SPLIT_KEYS, *SPLIT_KEYS)
        if missing := [tier for tier in Tier if tier not in model]:
            detail = f"there is no {missing[0]} tier to split with"
            self.refuse(at, detail, f"add {missing[0]} or remove it")
        if set(taken.values()) == {0}:
            self.refuse(at, "no tier has a weight", "write a number above 0 for one of them")
        return {Tier(tier): weight for tier, weight in taken.items()}

    def domain(self, at: str, table: Mapping[str, Any], region: str) -> Domain | None:
        """Take a custom domain; its certificate has to be in the region of the APIs."""
        before = len(self.problems)
        taken = self.take(at, table, DOMAIN_KEYS, "name")
        if "certificate_arn" not in table:
            self.certifiable(at, table, taken.get("name", ""))
        if (arn := taken.get("certificate_arn")) and arn.split(":")[3] != region:
            detail = f"is in {arn.split(':')[3]}, and the deployment in {region}"
            fix = f"name a certificate in {region}, or remove it: with hosted_zone_id one is made"
            self.refuse(f"{at}.certificate_arn", detail, fix)
        return None if len(self.problems) > before else Domain(**taken)

    def certifiable(self, at: str, table: Mapping[str, Any], name: str) -> None:
        """Check that a certificate can be made: in a zone, for a name that goes into one."""
        if "hosted_zone_id" not in table:
            detail = "nothing says where its certificate is made, or which it has"
            fix = "add hosted_zone_id, or certificate_arn"
            self.refuse(at, detail, fix, Code.SETTING_MISSING)
        if len(name) > MAX_CERTIFIED_CHARS:
            detail = f"{len(name)} characters; a certificate that is made here has {MAX_CERTIFIED_CHARS} at most"
            self.refuse(f"{at}.name", detail, "choose a shorter one, or add certificate_arn")


def _from(base: Path, source: Path | str) -> Path | str:
    """Return a path relative to the file's folder; a remote source stays as it is."""
    return base / source if isinstance(source, Path) else source


def _all_from(base: Path, paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(base / path for path in paths)


def read_models_toml(path: Path) -> Deployment:
    """Read a deployment, its paths relative to the file; raise ConfigError with every problem."""
    reader = _Reader()
    document = _parse(path)
    tables = reader.take("", document, {"deployment": TABLE, "models": TABLE})
    top = reader.take("deployment", tables.get("deployment", {}), DEPLOYMENT_KEYS)
    throttle = reader.take("deployment.throttle", top.pop("throttle", {}), THROTTLE_KEYS)
    region = top.get("region", Deployment().region)
    domain = (
        reader.domain("deployment.domain", top.pop("domain"), region) if "domain" in top else None
    )
    named = tables.get("models", {})
    # A `models` that is no table has its problem already.
    if not named and document.get("models", {}) == {}:
        reader.refuse("models", "no model", "add a table [models.my-model]", Code.SETTING_MISSING)
    trusted = _all_from(path.parent, top.pop("trusted_keys", ()))
    models = [reader.model(name, table, path.parent, trusted) for name, table in named.items()]
    if reader.problems:
        raise ConfigError(path, reader.problems)
    return Deployment(
        **top,
        throttle=Throttle(**throttle),
        domain=domain,
        trusted_keys=trusted,
        models=tuple(model for model in models if model),
    )


def _parse(path: Path) -> dict[str, Any]:
    try:
        return parse(path, missing="`turnout init SOURCE` writes one", option="--config")
    except Unread as error:
        raise ConfigError(path, [error.problem]) from error
