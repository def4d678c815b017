"""The table of GPU instances that can be deployed, with a dated price of each (`stacks/prices.json`).

AWS has no price source that can be read offline.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from contracts.errors import TurnoutError
from contracts.problems import Code

PRICES = Path(__file__).with_name("prices.json")


class UnknownInstance(TurnoutError):
    """The price table does not have the instance type."""

    code = Code.INSTANCE_UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SageMaker GPU instance type, with its on-demand price in us-east-1."""

    usd_per_hour: float
    memory_gib: int


@cache
def instances() -> dict[str, Instance]:
    """Return the instance types that can be deployed, by name."""
    table = json.loads(PRICES.read_text("utf-8"))["instances"]
    return {name: Instance(**row) for name, row in table.items()}


def find_instance(name: str) -> Instance:
    """Return the instance type; raise UnknownInstance, which lists the known ones."""
    if name not in instances():
        raise UnknownInstance(
            f"{name} is not in the table of GPU instances; choose one of {', '.join(instances())}"
        )
    return instances()[name]
