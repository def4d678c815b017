"""A smoke test's commands, their environment, and the time that its cap of dollars pays for."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import TurnoutError
from contracts.names import router_stack
from contracts.specs import Deployment
from scripts.account_smoke.app import MODELS, NAME
from stacks.costs.tiers import HOURS_PER_MONTH, idle_gpu_cost
from turnout.client import Endpoint

ROOT = Path(__file__).resolve().parent.parent.parent
# Below this a deployment of a GPU may not even be up before its time is over.
LEAST_MINUTES, MOST_MINUTES = 45, 180


class SmokeFailed(TurnoutError):
    """A step found something that is not as it should be; everything is deleted all the same."""

    code = "smoke_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """A smoke test: the deployment, its files, and the environment of the commands, by which they reach AWS.

    Commands end at `deadline`, on the clock of `time.monotonic`.
    """

    deployment: Deployment
    work: Path
    key: str
    environment: Mapping[str, str]
    deadline: float
    ca_file: str | None = None
    local: bool = False

    @property
    def endpoint(self) -> Endpoint:
        """Return the endpoint that was deployed."""
        outputs = json.loads((self.work / "outputs.json").read_text("utf-8"))
        url = outputs[router_stack(self.deployment.name)]["Url"]
        return Endpoint(url=url, key=self.key, ca_file=self.ca_file)

    def run(
        self,
        *command: str | Path,
        until: float | None = None,
        more: Mapping[str, str] | None = None,
    ) -> str:
        """Return what a command prints; raise SmokeFailed if it fails or is not done by the deadline."""
        left_s = max((until or self.deadline) - time.monotonic(), 1)
        words = [str(word) for word in command]
        with (self.work / "commands.log").open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(words)}\n")
            log.flush()
            try:
                done = subprocess.run(
                    words,
                    cwd=ROOT,
                    env={**self.environment, **(more or {})},
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    timeout=left_s,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise SmokeFailed(
                    f"`{words[0]}` was not done when the time that is paid for ended"
                ) from error
            log.write(done.stdout)
        if done.returncode:
            raise SmokeFailed(
                f"`{' '.join(words[:3])}` ended with {done.returncode}; see {log.name}"
            )
        return done.stdout


def hourly_usd(deployment: Deployment) -> float:
    """Return US dollars an hour at most: each GPU tier with all of its instances and the one more of an update."""
    return sum(
        idle_gpu_cost(model.gpu.instance, deployment.region)
        / HOURS_PER_MONTH
        * (model.gpu.max_instances + 1)
        for model in deployment.models
        if model.gpu
    )


def minutes_within(deployment: Deployment, max_usd: float) -> float:
    """Return the minutes that may pass until all of it is deleted; raise SmokeFailed if they are too few.

    Requests, images and logs come to cents.
    """
    hourly = hourly_usd(deployment)
    minutes = min(max_usd / hourly * 60, MOST_MINUTES) if hourly else MOST_MINUTES
    if minutes < LEAST_MINUTES:
        least = hourly * LEAST_MINUTES / 60
        raise SmokeFailed(
            f"its GPU tiers may cost ${hourly:.2f} an hour, so ${max_usd:.2f} pay for {minutes:.0f} minutes, and "
            f"{LEAST_MINUTES} are needed: allow --max-usd {least:.2f}, or name models without a GPU"
        )
    return minutes


def environment_of(
    base: Mapping[str, str], config: Path, out: Path, work: Path, name: str, models: tuple[str, ...]
) -> dict[str, str]:
    """Return the environment of the commands: how AWS is reached, and the files of the smoke test."""
    return {
        **base,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), base.get("PYTHONPATH")))),
        "TURNOUT_CONFIG": str(config.resolve()),
        "TURNOUT_OUT": str(out.resolve()),
        "TURNOUT_KEYS": str(work / "keys.toml"),
        "TURNOUT_STAGING": str(work / "staging"),
        # Images that were pushed are of stacks of another name; an engine builds them.
        "TURNOUT_IMAGES": str(work / "images.out"),
        NAME: name,
        MODELS: ",".join(models),
    }
