"""A script of faults, read strictly from TOML: every problem is found at once and named with its key and its fix."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from contracts.names import endpoint, model_stack
from contracts.problems import Code, ProblemsFound
from contracts.specs import Deployment
from contracts.tasks import Tier
from contracts.toml.kinds import Kind, between, is_number, one_of
from contracts.toml.tables import Tables, Unread, parse
from local.chaos.services import SERVICES, AwsError, Called, errors_of


class ScriptError(ProblemsFound):
    """A script of faults cannot be used; `problems` has all of its problems."""

    code = "chaos_invalid"


class Fault(StrEnum):
    """The kinds of faults; docs/local-cloud.md says what each does to the calls that meet it."""

    ASLEEP = "asleep"
    ERROR = "error"
    THROTTLE = "throttle"
    SLOW = "slow"
    CRASH = "crash"
    HANG = "hang"
    CLOSE = "close"
    CUT = "cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """A fault of a script: the calls that it is about, from when until when in seconds, and the share that meets it."""

    target: str
    kind: Fault
    of: Called
    from_s: float = 0.0
    until_s: float = math.inf
    share: float = 1.0
    wake_s: float = 0.0
    ms: float = 0.0
    error: AwsError | None = None

    def __str__(self) -> str:
        share = f" for {self.share:.0%} of the calls" if self.share < 1 else ""
        what = {
            Fault.ASLEEP: f", {self.wake_s:g} s to wake",
            Fault.ERROR: f" {self.error.code}" if self.error else "",
            Fault.SLOW: f" by {self.ms:g} ms",
        }
        return f"{self.target} {self.kind}{what.get(self.kind, '')}{share}"


SECONDS = Kind("seconds, 0 or more", lambda v: is_number(v) and 0 <= v < math.inf)
TEXT = Kind("a text", lambda v: isinstance(v, str) and bool(v))
SHARE = Kind("a number above 0, at most 1", lambda v: is_number(v) and 0 < v <= 1)
TABLES = Kind(
    "tables of [[fault]]",
    lambda v: isinstance(v, list) and bool(v) and all(isinstance(one, dict) for one in v),
)
WHEN = {
    "target": TEXT,
    "kind": one_of(*Fault),
    "from_s": SECONDS,
    "until_s": SECONDS,
    "share": SHARE,
}
ERROR_KEYS = {"code": TEXT, "status": between(400, 599), "message": TEXT}
KEYS: Mapping[str, Mapping[str, Kind]] = {
    Fault.ASLEEP: {
        "target": TEXT,
        "kind": WHEN["kind"],
        "from_s": SECONDS,
        "wake_s": Kind("seconds above 0", lambda v: is_number(v) and 0 < v < math.inf),
    },
    Fault.ERROR: {**WHEN, **ERROR_KEYS},
    Fault.SLOW: {**WHEN, "ms": between(1, 600_000)},
}
REQUIRED: Mapping[str, tuple[str, ...]] = {Fault.ASLEEP: ("wake_s",), Fault.SLOW: ("ms",)}
# What hangs there are the tiers.
HAVE_TIERS = ("lambda", "sagemaker")
# Every key, for a fault of which the kind is not known.
ANY = {**WHEN, **KEYS[Fault.ASLEEP], **KEYS[Fault.ERROR], **KEYS[Fault.SLOW]}


class _Reader(Tables):
    """A reader of the file's tables, against the tiers of a deployment."""

    def fault(self, at: str, table: dict[str, Any], tiers: Mapping[str, Called]) -> Scripted | None:
        before, kind = len(self.problems), _kind_of(table)
        keys = ANY if kind is None else KEYS.get(kind, WHEN)
        required = REQUIRED.get(kind or "", ())
        taken = self.take(at, table, keys, "target", "kind", *required)
        of = self.target(at, taken.pop("target"), kind, tiers) if "target" in taken else None
        if taken.get("until_s", math.inf) <= taken.get("from_s", 0):
            fix = "write a later one, or remove it"
            self.refuse(f"{at}.until_s", "the fault ends before it begins", fix)
        error = self.error(at, of.service, kind, taken) if of else None
        if of is None or kind is None or len(self.problems) > before:
            return None
        settings = {key: taken[key] for key in taken if key not in ("kind", *ERROR_KEYS)}
        return Scripted(target=table["target"], kind=kind, of=of, error=error, **settings)

    def target(
        self, at: str, target: str, kind: Fault | None, tiers: Mapping[str, Called]
    ) -> Called | None:
        """Return what a target's calls are about, if it can have a fault of this kind."""
        where, other = f"{at}.target", "or another kind"
        if target in tiers:
            if kind is Fault.ASLEEP and not target.endswith(f"/{Tier.GPU}"):
                self.refuse(where, f"{target!r} never sleeps", f"write MODEL/{Tier.GPU}, {other}")
            return tiers[target]
        if target in SERVICES:
            ends = (Fault.ASLEEP, Fault.CRASH, *([Fault.HANG] if target in HAVE_TIERS else []))
            if kind in ends:
                detail = f"{target!r} is a service, and has no process of its own"
                self.refuse(where, detail, f"write MODEL/TIER, {other}")
            return Called(service=target)
        choices = ", ".join([*tiers, *SERVICES])
        self.refuse(where, f"{target!r} is neither a tier nor a service", f"write one of {choices}")
        return None

    def error(
        self, at: str, service: str, kind: Fault | None, taken: Mapping[str, Any]
    ) -> AwsError | None:
        """Return the error that calls are answered with, for the kinds of faults that have one."""
        down = SERVICES[service].down
        if kind is Fault.THROTTLE:
            return SERVICES[service].throttled
        if kind is not Fault.ERROR:
            return None
        code, known = taken.get("code", down.code), {**errors_of(service), down.code: down}
        if code not in known:
            fix = "write one of " + ", ".join(sorted(known))
            self.refuse(f"{at}.code", f"{service} has no error {code!r}", fix)
            return None
        given = {key: taken[key] for key in ("status", "message") if key in taken}
        if code == "ModelError":
            # That of the container's answer, which SageMaker passes on in a 424 of its own.
            given.setdefault("status", 500)
        return replace(known[code], **given)


def _kind_of(table: Mapping[str, Any]) -> Fault | None:
    return Fault(table["kind"]) if table.get("kind") in list(Fault) else None


def read_script(path: Path, deployment: Deployment) -> tuple[Scripted, ...]:
    """Read the faults of a file, for the tiers of a deployment; raise ScriptError with every problem."""
    reader = _Reader()
    try:
        document = parse(
            path, missing="the page on the local cloud has an example", option="--chaos"
        )
    except Unread as error:
        raise ScriptError(path, [error.problem]) from error
    tables: Sequence[dict[str, Any]] = reader.take("", document, {"fault": TABLES}).get("fault", ())
    if "fault" not in document:
        reader.refuse("fault", "no fault", "add a table [[fault]]", Code.SETTING_MISSING)
    tiers = tiers_of(deployment)
    faults = [reader.fault(f"fault {n}", table, tiers) for n, table in enumerate(tables, 1)]
    if reader.problems:
        raise ScriptError(path, reader.problems)
    return tuple(fault for fault in faults if fault)


def tiers_of(deployment: Deployment) -> dict[str, Called]:
    """Return what the calls of each tier are about, by MODEL/TIER."""
    found = {}
    for model in deployment.models:
        if model.cpu:
            name = model_stack(deployment.name, model.name, Tier.CPU)
            found[f"{model.name}/{Tier.CPU}"] = Called(service="lambda", name=name)
        if model.gpu:
            name = endpoint(deployment.name, model.name, model.gpu.instance)
            found[f"{model.name}/{Tier.GPU}"] = Called(service="sagemaker", name=name)
    return found
