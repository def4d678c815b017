"""The table of GPU instances that can be deployed, with a dated price of each (`stacks/prices.json`).

AWS has no price source that can be read offline.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from contracts.errors import TurnoutError
from contracts.problems import Code

PRICES = Path(__file__).with_name("prices.json")


class UnknownInstance(TurnoutError):
    """The price table does not have the instance type."""

    code = Code.INSTANCE_UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SageMaker GPU instance type, with its on-demand price in us-east-1, its own memory, and its GPUs."""

    usd_per_hour: float
    memory_gib: int
    gpu: str
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One kind of GPU: its memory as CUDA reports it, and its compute capability."""

    memory_gib: float
    capability: float
    source: str


@cache
def all_instances() -> dict[str, Instance]:
    """Return every instance type whose price is known, by name."""
    return {name: Instance(**row) for name, row in _table()["instances"].items()}


@cache
def instances() -> dict[str, Instance]:
    """Return the instance types that can be deployed, by name: a GPU tier's container uses one GPU."""
    return {name: one for name, one in all_instances().items() if one.gpus == 1}


@cache
def gpus() -> dict[str, Gpu]:
    """Return the kinds of GPUs, by the names that instances have them under."""
    return {name: Gpu(**row) for name, row in _table()["gpus"].items()}


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(PRICES.read_text("utf-8"))
    return table


def find_instance(name: str, among: Mapping[str, Instance] | None = None) -> Instance:
    """Return the instance type; raise UnknownInstance, which lists those `among`, by default those to deploy."""
    known = instances() if among is None else among
    if name not in known:
        raise UnknownInstance(
            f"{name} is not in the table of GPU instances; choose one of {', '.join(known)}"
        )
    return known[name]
