"""`python -m scripts.account_smoke --max-usd 5`: deploy to your account, call, update, delete, and see that it is gone.

The models of models.toml are deployed under a name of their own, so that a deployment that runs is not touched. Before
anything is deployed the most that it can cost is computed; when that time is over, or a step fails, everything is
deleted. One file is written with the outcome of each step. `--local` does the same in a local cloud.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.record import commit, machine
from contracts.errors import TurnoutError
from contracts.keys import key_hash, new_key
from contracts.models_toml import read_models_toml
from contracts.specs import Deployment
from local.cloud import ACCOUNT
from scripts.account_smoke.app import smoke_deployment
from scripts.account_smoke.commands import (
    Smoke,
    SmokeFailed,
    environment_of,
    hourly_usd,
    minutes_within,
)
from scripts.account_smoke.smoke import Figures, run
from turnout.keys import write_keys
from turnout.local_deployment import Files, Laptop


def main() -> None:
    given = arguments()
    try:
        result = smoke_test(given)
    except TurnoutError as error:
        sys.exit(f"error[{error.code}]: {error}")
    path = given.result or Path(f"account-smoke-{result['date'][:10]}.json")
    path.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(f"written to {path}")
    sys.exit(any(one["outcome"] != "passed" for one in result["steps"]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.account_smoke", description=__doc__)
    parser.add_argument("--max-usd", type=float, default=5.0, help="the most that it may cost")
    parser.add_argument(
        "--model", action="append", default=[], help="a model to deploy; by default all"
    )
    parser.add_argument(
        "--name", default="", help="the deployment's name; by default the file's with -smoke"
    )
    parser.add_argument("--config", type=Path, default=Path("models.toml"))
    parser.add_argument("--out", type=Path, default=Path("models.out"))
    parser.add_argument("--result", type=Path, help="the file to write")
    parser.add_argument("--local", action="store_true", help="in a local cloud, not in AWS")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args()


def smoke_test(given: argparse.Namespace) -> Figures:
    """Return the result of a smoke test; raise TurnoutError if it does not begin."""
    written = read_models_toml(given.config)
    if unknown := set(given.model) - {model.name for model in written.models}:
        raise SmokeFailed(f"{given.config} has no model named {', '.join(sorted(unknown))}")
    name = given.name or f"{written.name}-smoke"
    deployment = smoke_deployment(written, name, tuple(given.model))
    minutes = minutes_within(deployment, given.max_usd)
    question = (
        f"{name} in {deployment.region}: {', '.join(model.name for model in deployment.models)}; at most "
        f"${hourly_usd(deployment):.2f} an hour for at most {minutes:.0f} minutes. Go on? [y/N] "
    )
    if not (given.yes or given.local) and input(question).strip().lower() not in ("y", "yes"):
        raise SmokeFailed("nothing was deployed")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="turnout-smoke-") as folder:
        work, key = Path(folder), new_key()
        write_keys(work / "keys.toml", {"smoke": key_hash(key)})
        with reached(given, deployment, work) as (base, ca_file):
            smoke = Smoke(
                deployment=deployment,
                work=work,
                key=key,
                environment=environment_of(
                    base, given.config, given.out, work, name, tuple(given.model)
                ),
                deadline=started + minutes * 60,
                ca_file=ca_file,
                local=given.local,
            )
            steps = run(smoke, print)
    hours = (time.monotonic() - started) / 3600
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "where": "local cloud" if given.local else deployment.region,
        "models": [model.name for model in deployment.models],
        "usd_at_most": round(hourly_usd(deployment) * hours, 2),
        "minutes": round(hours * 60, 1),
        "steps": steps,
    }


@contextmanager
def reached(
    given: argparse.Namespace, deployment: Deployment, work: Path
) -> Iterator[tuple[Mapping[str, str], str | None]]:
    """Yield the environment by which AWS or a local cloud is reached, and the authority of the latter's certificate."""
    if not given.local:
        yield dict(os.environ), None
        return
    files = Files(config=given.config, out=given.out)
    with Laptop(deployment, files, state=work / "local") as laptop:
        laptop.cdk("bootstrap", f"aws://{ACCOUNT}/{deployment.region}", folder=laptop.state)
        yield laptop.environment(), str(laptop.cloud.ca_file)


if __name__ == "__main__":
    main()
