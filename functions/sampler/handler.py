"""The entry point of the sampling function: `handler`, which Lambda calls with a sample as its event.

It is the only module of the function that reads the environment.
"""

import os
from typing import Any

import boto3
from botocore.config import Config

from contracts.cascade.sampling import Sample
from contracts.limits import BACKEND_SLACK_S, CONNECT_TIMEOUT_S, MAX_TIER_TIMEOUT_S
from functions.sampler.rows import Rows
from functions.sampler.sampler import Sampler

# A sample that the GPU tier refuses is lost: trying again would add load to a tier that has too much.
ONCE = {"total_max_attempts": 1, "mode": "standard"}
sampler = Sampler(
    deployment=os.environ["TURNOUT_DEPLOYMENT"],
    runtime=boto3.client(
        "sagemaker-runtime",
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=MAX_TIER_TIMEOUT_S + BACKEND_SLACK_S,
            retries=ONCE,
        ),
    ),
    rows=Rows(
        client=boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=2)),
        table=os.environ["TURNOUT_STATES"],
    ),
    canaries=frozenset(os.environ.get("TURNOUT_CANARIES", "").split()),
)


def handler(event: dict[str, Any], context: object) -> None:
    """Compare the sample that the router has sent."""
    sampler.take(Sample.from_wire(event))
