"""A scheduled function: it asks SageMaker for the copies of each GPU tier, and writes one row each for the routers.

The tiers are in `targets.json` beside `contracts`. One that cannot be read or written does not stop the others; its row
grows old, and routers go by what they learn themselves.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts.states.rows import CopyCounts, Row, copies_key

log = logging.getLogger("turnout.observer")
TARGETS = Path(__file__).parents[2] / "targets.json"
# A row outlives some turns that fail. Routers look at its age themselves.
EXPIRES_S = 900
# The next turn begins a minute after this one.
CALLS = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A GPU tier: the address that routers know it by, and the parameter that has its release."""

    address: str
    release: str


def handler(event: object, context: object) -> dict[str, int]:
    """Write the rows; return how many there are, how many tiers are not there, and how many failed."""
    return main(TARGETS)


def main(path: Path) -> dict[str, int]:
    settings = json.loads(path.read_text("utf-8"))
    targets = [Observed(**target) for target in settings["targets"]]
    return observe(settings["table"], targets)


def observe(table: str, targets: list[Observed]) -> dict[str, int]:
    """Write a row for each target; a failure is one line of the log, in which throttles have their code."""
    done = {"written": 0, "missing": 0, "failed": 0}
    for target in targets:
        try:
            copies = copies_of(target)
            if copies is not None:
                write(table, target.address, copies)
            done["missing" if copies is None else "written"] += 1
        except (BotoCoreError, ClientError) as error:
            done["failed"] += 1
            log.warning("%s: %s", target.address, error)
    return done


def copies_of(target: Observed) -> CopyCounts | None:
    """Return the copies of a target; None if there is no such component.

    While a deployment makes an endpoint on another instance type, the one before it serves under another name.
    """
    own = described(target.address)
    if own is not None and own.current > 0:
        return own
    released = released_address(target.release)
    other = described(released) if released not in ("", target.address) else None
    return other if other is not None and (own is None or other.current > 0) else own


def described(component: str) -> CopyCounts | None:
    """Return the copies of an inference component; None if there is none of that name."""
    try:
        found = client("sagemaker").describe_inference_component(InferenceComponentName=component)
    except ClientError as error:
        # SageMaker has no code of its own for it.
        if "Could not find" in str(error):
            return None
        raise
    running: Mapping[str, Any] = found.get("RuntimeConfig", {})
    return CopyCounts(
        desired=int(running.get("DesiredCopyCount", 0)),
        current=int(running.get("CurrentCopyCount", 0)),
        status=str(found["InferenceComponentStatus"]),
    )


def released_address(name: str) -> str:
    """Return the address in a release; empty if there is none."""
    # Unlike GetParameter, it raises nothing for a name that does not exist.
    found = client("ssm").get_parameters(Names=[name])["Parameters"]
    return str(json.loads(found[0]["Value"])["address"]) if found else ""


def write(table: str, address: str, copies: CopyCounts) -> None:
    now = time.time()
    row = Row(
        key=copies_key(address),
        written_at=now,
        expires_at=now + EXPIRES_S,
        document=copies.to_document(),
    )
    client("dynamodb").put_item(TableName=table, Item=row.to_item())


@cache
def client(service: str) -> Any:
    """Return the one client of a service, which later turns of the same environment find made."""
    return boto3.client(service, config=CALLS)
