"""The CDK app of a smoke test: the models of models.toml under another name, before or after an update."""

import os
import sys
from dataclasses import replace
from pathlib import Path

from contracts.errors import TurnoutError
from contracts.models_toml import read_models_toml
from contracts.specs import CpuSpec, Deployment
from turnout.keys import read_keys

# What an update changes of each CPU tier: its function gets a new version, and its alias moves there.
MORE_MEMORY_MB = 64
NAME, MODELS, UPDATED = "SMOKE_NAME", "SMOKE_MODELS", "SMOKE_UPDATED"


def smoke_deployment(written: Deployment, name: str, models: tuple[str, ...]) -> Deployment:
    """Return the deployment under another name, with some of its models or with all.

    A domain is of one deployment alone, which may be running.
    """
    chosen = tuple(one for one in written.models if not models or one.name in models)
    return replace(written, name=name, domain=None, models=chosen)


def updated(deployment: Deployment) -> Deployment:
    """Return the deployment with more memory for each function."""

    def grown(spec: CpuSpec | None) -> CpuSpec | None:
        return spec and replace(spec, memory_mb=spec.memory_mb + MORE_MEMORY_MB)

    models = tuple(replace(one, cpu=grown(one.cpu)) for one in deployment.models)
    return replace(deployment, models=models)


def main() -> None:
    # As in the app of the project: images keep the modes of what the CDK copies.
    os.umask(0o022)
    from stacks.app import Inputs, make_app

    given = os.environ
    models = tuple(filter(None, given[MODELS].split(",")))
    try:
        deployment = smoke_deployment(
            read_models_toml(Path(given["TURNOUT_CONFIG"])), given[NAME], models
        )
        inputs = Inputs(
            deployment=updated(deployment) if given.get(UPDATED) else deployment,
            out=Path(given["TURNOUT_OUT"]),
            key_hashes=read_keys(Path(given["TURNOUT_KEYS"])),
            staging=Path(given["TURNOUT_STAGING"]),
            images=Path(given["TURNOUT_IMAGES"]),
            account=given.get("CDK_DEFAULT_ACCOUNT"),
        )
        make_app(inputs).synth()
    except TurnoutError as error:
        sys.exit(f"error[{error.code}]: {error}")


if __name__ == "__main__":
    main()
