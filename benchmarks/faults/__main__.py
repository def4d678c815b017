"""Every fault of `turnout up --chaos` in turn, under requests from another process: who answers, and how late.

The example `support-intent` (`make models`) is deployed in the local cloud, its GPU tier with leave to sleep. Half of
the requests want the GPU tier. For each fault the router starts anew, so that it has learned nothing before. With
--wake-s, the one fault is a GPU tier that takes so long to wake.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.faults.summary import row
from benchmarks.record import ROOT, Row, publish
from contracts.models_toml import read_models_toml
from contracts.names import router_stack
from contracts.tasks import Tier
from local.chaos.script import Fault, Scripted, tiers_of
from local.chaos.services import SERVICES, Called
from local.cloud import ACCOUNT
from turnout.client import ENDPOINT_FILE
from turnout.local_deployment import Files, Laptop

MODEL = "support-intent"
DEADLINE_MS, RATE, FOR_S = 2000, 4.0, 10.0
# Longer than the load: what a router asks services for while the tier sleeps is asked all the time.
ASLEEP_S = 600.0
MOST_TRIES = 30
CONCURRENCY = 100


def config(folder: Path) -> Path:
    """Write the example's table, in an account that bears the requests, with a GPU tier that may sleep."""
    table = (ROOT / "models.toml").read_text("utf-8").split("[models.sentence-embedding]")[0]
    text = table.replace('"examples/', f'"{ROOT}/examples/').replace(
        'instance = "ml.g6.xlarge"', 'instance = "ml.g6.xlarge", min_instances = 0'
    )
    path = folder / "models.toml"
    path.write_text(f"[deployment]\nconcurrency = {CONCURRENCY}\n{text}", "utf-8")
    return path


def faults(tiers: dict[str, Called]) -> list[tuple[str, tuple[Scripted, ...]]]:
    """Return the faults that are measured, each with its name in the table."""
    found: list[tuple[str, tuple[Scripted, ...]]] = [("none", ())]
    for tier in Tier:
        target = f"{MODEL}/{tier}"
        of = tiers[target]
        words = SERVICES[of.service]
        plain = Scripted(target=target, kind=Fault.CLOSE, of=of)
        found += [
            (f"{tier}: throttled", (replace(plain, kind=Fault.THROTTLE, error=words.throttled),)),
            (f"{tier}: {words.down.status}", (replace(plain, kind=Fault.ERROR, error=words.down),)),
            (f"{tier}: every third closed", (replace(plain, share=1 / 3),)),
            (f"{tier}: connections closed", (plain,)),
            (f"{tier}: answers cut", (replace(plain, kind=Fault.CUT),)),
            (f"{tier}: slow by 500 ms", (replace(plain, kind=Fault.SLOW, ms=500),)),
            (f"{tier}: crashes", (replace(plain, kind=Fault.CRASH),)),
            (f"{tier}: hangs", (replace(plain, kind=Fault.HANG),)),
        ]
    for service in ("dynamodb", "ssm"):
        # A router asks them about a tier that sleeps.
        words, sleeps = SERVICES[service], asleep(tiers, ASLEEP_S)
        plain = Scripted(target=service, kind=Fault.HANG, of=Called(service=service))
        throttled = replace(plain, kind=Fault.THROTTLE, error=words.throttled)
        down = replace(plain, kind=Fault.ERROR, error=words.down)
        found += [
            (f"gpu: asleep, {service}: {what}", (fault, sleeps))
            for what, fault in (("throttled", throttled), ("down", down), ("hangs", plain))
        ]
    return found


def asleep(tiers: dict[str, Called], wake_s: float) -> Scripted:
    target = f"{MODEL}/{Tier.GPU}"
    return Scripted(target=target, kind=Fault.ASLEEP, of=tiers[target], wake_s=wake_s)


def load(endpoint: Path, seconds: float, rate: float = RATE) -> list[dict[str, Any]]:
    """Return what is recorded of each request that another process sends."""
    command = [sys.executable, "-m", "benchmarks.faults.load", str(endpoint), MODEL]
    words = {"--rate": rate, "--seconds": seconds, "--deadline-ms": DEADLINE_MS}
    more = [str(part) for pair in words.items() for part in pair]
    done = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def renew(laptop: Laptop, endpoint: Path) -> None:
    """Start the functions anew, and return when they answer as if nothing had been."""
    laptop.cloud.chaos.begin(())
    name = laptop.deployment.name
    for function in (router_stack(name), tiers_of(laptop.deployment)[f"{MODEL}/{Tier.CPU}"].name):
        arn = f"arn:aws:lambda:{laptop.deployment.region}:{ACCOUNT}:function:{function}"
        laptop.cloud.functions.forget(arn)
    for _ in range(MOST_TRIES):
        answers = load(endpoint, 4.0)
        if all((one["status"], bool(one["degraded"])) == (200, False) for one in answers):
            return
        time.sleep(1)
    raise SystemExit(f"the deployment does not recover: {Counter(map(str, answers))}")


def measured(
    laptop: Laptop,
    endpoint: Path,
    name: str,
    script: Sequence[Scripted],
    seconds: float,
    rate: float,
) -> Row:
    renew(laptop, endpoint)
    laptop.cloud.chaos.begin(script)
    answers = load(endpoint, seconds, rate)
    found = row(name, answers, laptop.cloud.chaos.met()[:1])
    print(json.dumps(found), f"load {os.getloadavg()[0]:.1f}", flush=True)
    return found


def of_wake(found: Row) -> Row:
    """Return the row of a tier that wakes: the calls that found it asleep are those that wake it."""
    calls = found.pop("calls that met it")
    return {**found, "wake calls": calls, "load average": round(os.getloadavg()[2], 1)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=FOR_S, help="of each fault")
    parser.add_argument("--wake-s", type=float, help="seconds to wake, all of which are measured")
    parser.add_argument("--rate", type=float, default=RATE, help="requests a second")
    parser.add_argument("--only", default="", help="the faults whose names have this text")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = config(Path(folder))
        files = Files(config=path, out=ROOT / "models.out")
        with Laptop(read_models_toml(path), files, state=Path(folder) / "local") as laptop:
            laptop.deploy()
            endpoint, tiers = laptop.state / ENDPOINT_FILE, tiers_of(laptop.deployment)
            scripts = [one for one in faults(tiers) if words.only in one[0]]
            seconds = words.seconds
            if words.wake_s:
                name = f"gpu: asleep, {words.wake_s / 60:g} minutes to wake"
                scripts = [(name, (asleep(tiers, words.wake_s),))]
                # More than a minute longer, in which it is found awake.
                seconds = words.wake_s + 75
            rows = [measured(laptop, endpoint, *one, seconds, words.rate) for one in scripts]
    if not words.only:
        wakes = f" --wake-s {words.wake_s:g} --rate {words.rate:g}" if words.wake_s else ""
        publish(
            "faults_wake" if words.wake_s else "faults",
            [of_wake(row) for row in rows] if words.wake_s else rows,
            command=f"benchmarks.faults{wakes}",
            model=MODEL,
            deadline_ms=DEADLINE_MS,
            rate=words.rate,
            load_average=round(os.getloadavg()[2], 1),
        )


if __name__ == "__main__":
    main()
