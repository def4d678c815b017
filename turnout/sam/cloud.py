"""The facts that `turnout up --sam` leaves for `turnout sam`: where functions reach the local cloud, and the engine."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from images.engine.engine import Engine
from turnout.local_deployment import Laptop
from turnout.sam.engine_api import engine_api

FILE = "sam.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudForSam:
    """A local cloud that listens on an engine's bridge: its `models.toml`, keys, addresses and engine.

    `environment` is what an AWS client on this machine needs, and `bridge_url` the control plane as containers see it.
    """

    config: str
    keys: str
    bridge_url: str
    docker_host: str
    environment: Mapping[str, str]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Return the facts of a cloud that is up; None if there is none, or its process was killed."""
        try:
            cloud = cls(**json.loads(path.read_text("utf-8")))
            control = urlsplit(cloud.environment["AWS_ENDPOINT_URL"])
            with socket.create_connection((str(control.hostname), int(control.port or 0)), 2):
                return cloud
        except (OSError, ValueError, KeyError, TypeError):
            return None


@contextmanager
def cloud_for_sam(laptop: Laptop, engine: Engine) -> Iterator[None]:
    """Leave the facts in the laptop's folder while the block runs, with the engine's API to be reached by SAM."""
    note = laptop.state / FILE
    with engine_api(engine, laptop.state) as docker_host:
        facts = CloudForSam(
            config=str(laptop.files.config.resolve()),
            keys=str(laptop.keys),
            bridge_url=laptop.cloud.bridge_url,
            docker_host=docker_host,
            environment=laptop.cloud.credentials(),
        )
        facts.save(note)
        try:
            yield
        finally:
            note.unlink(missing_ok=True)
