"""The deployment that a command is about: that of `models.toml`, or one that it has no more."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from contracts.errors import TurnoutError
from contracts.models_toml import read_models_toml
from contracts.names import MAX_DEPLOYMENT_CHARS, is_name
from contracts.specs import Deployment
from images.made.record import read_record
from turnout.client import ENDPOINT_FILE, STATE, Endpoint
from turnout.deployed.clients import MANY, Clients, answered, clients_in
from turnout.deployed.inventory import Inventory, take_inventory


class NoLocalCloud(TurnoutError):
    """No local cloud runs below this folder."""

    code = "no_local_cloud"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A deployment, the folders of its images' record and of its artefacts, and clients of where it is looked for."""

    deployment: Deployment
    images: Path
    out: Path
    clients: Clients

    def inventory(self) -> Inventory:
        """Return what is there now; raise AwsRefused."""
        with answered():
            return take_inventory(self.deployment, self.clients, read_record(self.images), self.out)


def wanted_deployment(config: Path, name: str, region: str) -> Deployment:
    """Return the deployment of `models.toml`, without models where it is another one; raises its errors.

    With a name and a region no `models.toml` is needed.
    """
    if name and not is_name(name, MAX_DEPLOYMENT_CHARS):
        limit = f"a letter first, then a-z, 0-9 and single hyphens, at most {MAX_DEPLOYMENT_CHARS}"
        raise typer.BadParameter(f"{name!r} is no deployment's name: {limit}")
    if name and region and not config.exists():
        return Deployment(name=name, region=region, models=())
    written = read_models_toml(config)
    wanted = replace(written, name=name or written.name, region=region or written.region)
    return wanted if wanted == written else replace(wanted, models=())


def clients_of(deployment: Deployment, *, local: bool) -> Clients:
    """Return clients of AWS, or of the local cloud that runs; raise NoLocalCloud."""
    return clients_in(deployment.region, MANY, _local_cloud() if local else None)


def _local_cloud() -> Mapping[str, str]:
    path = STATE / ENDPOINT_FILE
    try:
        found = Endpoint.load(path).aws
    except FileNotFoundError as error:
        raise NoLocalCloud(f"{path} is not there; `turnout up` runs a local cloud") from error
    if not found:
        raise NoLocalCloud(f"{path} is of an older version; stop `turnout up`, and run it again")
    return found
