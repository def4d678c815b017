"""`models.toml`, read strictly: every problem in the file is found at once and named with its key and its fix."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.problems import Code, Problem, ProblemsFound
from contracts.scaling.awake import FORM, NotHours, parse_awake
from contracts.settings import (
    ANSWERS,
    CPU_KEYS,
    DEPLOYMENT_KEYS,
    FLAG,
    GATE_KEYS,
    GENERATED,
    GPU_KEYS,
    MODEL_KEYS,
    MODEL_NAME,
    RATIO_FROM_1,
    SCORES,
    SHARE,
    SPLIT_KEYS,
    TABLE,
    THROTTLE_KEYS,
    UNINFORMATIVE,
    VECTORS,
    Kind,
)
from contracts.specs import (
    CpuSpec,
    Deployment,
    Gate,
    GpuSpec,
    ModelSpec,
    SourceOptions,
    Throttle,
)
from contracts.tasks import Task, Tier

LONG_NUMBER = "a number of thousands of digits"


class ConfigError(ProblemsFound):
    """`models.toml` cannot be used; `problems` has all of its problems."""

    code = "config_invalid"


@dataclass(slots=True)
class _Reader:
    """A reader of tables that collects their problems."""

    problems: list[Problem] = field(default_factory=list)

    def refuse(self, key: str, detail: str, fix: str, code: Code = Code.SETTING_INVALID) -> None:
        self.problems.append(Problem(code=code, where=key, message=f"{detail}; {fix}"))

    def take(
        self, at: str, table: Mapping[str, Any], kinds: Mapping[str, Kind], *required: str
    ) -> dict[str, Any]:
        """Return the known, valid keys of a table, converted; everything else becomes a problem."""
        taken: dict[str, Any] = {}
        for key, value in table.items():
            here = f"{at}.{key}" if at else key
            if key not in kinds:
                self.refuse(here, "unknown key", _nearest(key, kinds), Code.SETTING_UNKNOWN)
            elif not kinds[key].accepts(value):
                self.refuse(here, f"{_shown(value)} does not fit", f"write {kinds[key].name}")
            else:
                taken[key] = kinds[key].take(value)
        for key in required:
            if key not in table:
                fix = f"add {key} = {kinds[key].name}"
                self.refuse(f"{at}.{key}", "is missing", fix, Code.SETTING_MISSING)
        return taken

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
        cpu = self.take(f"{at}.cpu", taken["cpu"], CPU_KEYS) if "cpu" in taken else None
        gpu = self.gpu(f"{at}.gpu", taken["gpu"]) if "gpu" in taken else None
        gate = self.gate(f"{at}.gate", taken.get("gate", {}), taken.get("task"))
        if taken.get("edge"):
            self.edge(f"{at}.edge", cpu)
        split = self.split(f"{at}.split", taken)
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

    def gpu(self, at: str, table: dict[str, Any]) -> dict[str, Any]:
        taken = self.take(at, table, GPU_KEYS, "instance")
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


def _shown(value: object) -> str:
    try:
        return repr(value)
    # A hexadecimal number can have more digits than Python writes in decimal (`sys.get_int_max_str_digits`).
    except ValueError:
        return LONG_NUMBER


def _from(base: Path, source: Path | str) -> Path | str:
    """Return a path relative to the file's folder; a remote source stays as it is."""
    return base / source if isinstance(source, Path) else source


def _all_from(base: Path, paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(base / path for path in paths)


def _nearest(key: str, kinds: Mapping[str, Kind]) -> str:
    near = difflib.get_close_matches(key, kinds, n=1)
    return f"did you mean {near[0]}?" if near else "the keys here are " + ", ".join(kinds)


def read_models_toml(path: Path) -> Deployment:
    """Read a deployment, its paths relative to the file; raise ConfigError with every problem."""
    reader = _Reader()
    document = _parse(path)
    tables = reader.take("", document, {"deployment": TABLE, "models": TABLE})
    top = reader.take("deployment", tables.get("deployment", {}), DEPLOYMENT_KEYS)
    throttle = reader.take("deployment.throttle", top.pop("throttle", {}), THROTTLE_KEYS)
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
        trusted_keys=trusted,
        models=tuple(model for model in models if model),
    )


def _parse(path: Path) -> dict[str, Any]:
    try:
        # `utf-8-sig`: tomllib refuses the byte order mark that some editors put in front.
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(path, [_unread(error)]) from error


def _unread(error: Exception) -> Problem:
    """Return the problem of a file that is no TOML document."""
    code = Code.FILE_DAMAGED
    match error:
        case FileNotFoundError():
            code, message = (
                Code.FILE_MISSING,
                "not found; `turnout init SOURCE` writes one, or name another with --config",
            )
        case OSError():
            code = Code.FILE_MISSING
            message = f"cannot be read: {error.strerror}; allow that, or name another with --config"
        case UnicodeDecodeError():
            message = f"{error}; save it as UTF-8 text"
        case tomllib.TOMLDecodeError():
            message = f"not TOML: {error}; correct that line"
        case RecursionError():
            message = "nested too deeply; write tables of plain values, as the README shows"
        case _:
            # Python reads decimal numbers of up to `sys.get_int_max_str_digits` digits only.
            message = f"{LONG_NUMBER}; write a shorter one"
    return Problem(code=code, where="file", message=message)
