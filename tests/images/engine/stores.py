"""The engine of this machine, and a store for Podman apart from the machine's own."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from images.engine.engine import CHOICE, Engine, find_engine
from images.engine.errors import EngineMissing

# Set where a missing engine is a failure and no reason to leave the tests out.
NEEDED = "TURNOUT_NEEDS_ENGINE"
STORE = "CONTAINERS_STORAGE_CONF"


def engine_named(name: str, work: Path) -> Engine:
    """Return the engine of a name, or the one that answers first; without it, tests are left out, or fail if needed."""
    try:
        return find_engine(work, {**os.environ, CHOICE: name})
    except EngineMissing as error:
        if os.environ.get(NEEDED):
            raise
        pytest.skip(str(error))


@contextmanager
def podman_store(work: Path) -> Iterator[Engine]:
    """Yield Podman with a store of its own, so that images of the machine stay as they are; remove all in it."""
    engine = engine_named("podman", work)
    # Podman refuses a longer name than 50 characters.
    with tempfile.TemporaryDirectory(prefix="podman-", ignore_cleanup_errors=True) as folder:
        settings = Path(folder) / "storage.conf"
        lines = ["[storage]", 'driver = "overlay"', f'graphroot = "{folder}/root"']
        settings.write_text("\n".join([*lines, f'runroot = "{folder}/run"', ""]), "utf-8")
        own = replace(engine, environment={**engine.environment, STORE: str(settings)})
        yield own
        own.run("rmi", "--all", "--force")
