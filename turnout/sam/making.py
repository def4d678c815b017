"""The folder that SAM is run in: a template, the events, the environment, and images that an engine has loaded."""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from contracts.specs import Deployment
from images.blob import write_atomically
from images.engine.archive import archive_of, load
from images.engine.engine import check_starts, find_engine
from images.engine.shell import shell_entries
from images.folders.half_made import half_made
from images.layer import Entry, write_layer
from images.oci.filesystem import file_of, merged
from images.oci.reading import Layout
from turnout.image.current import ROUTES
from turnout.image.making import WORK
from turnout.keys import read_keys
from turnout.sam.needs import FindEngine, Needs, Places, needs, sam_program
from turnout.sam.template import ENDPOINT, image_tag, template

TEMPLATE, PROBE, VARIABLES = "template.json", "probe.json", "environment.json"
ENVIRONMENT, CONFIG = "environment.sh", "samconfig.toml"
# Containers are kept between requests: without it each one is a cold start.
SAMCONFIG = f"""version = 0.1

[default.local_invoke.parameters]
env_vars = "{VARIABLES}"

[default.local_start_api.parameters]
env_vars = "{VARIABLES}"
warm_containers = "LAZY"

[default.local_start_lambda.parameters]
env_vars = "{VARIABLES}"
warm_containers = "LAZY"
"""


def write(
    deployment: Deployment,
    places: Places,
    target: Path,
    log: Console,
    find: FindEngine = find_engine,
    sam: Path | None = None,
) -> dict[str, Any]:
    """Load the images into the engine and write the folder; return what is there, and how SAM is run.

    Raise SamFailed with everything that is missing, EngineFailed where the engine takes no image or starts none.
    """
    with log.status("checking every byte of the images"):
        found = needs(deployment, places, sam or sam_program(), find)
    for name, layout in found.layouts.items():
        with log.status(f"{name}: into {found.engine.name}"):
            _load(found, name, layout)
        log.print(f"{image_tag(name)} is in {found.engine.name}", markup=False, soft_wrap=True)
    names = list(found.layouts)
    check_starts(found.engine, image_tag(names[0]), ("/bin/sh", "-c", "exit 0"))
    files = {
        TEMPLATE: json.dumps(template(deployment), indent=2) + "\n",
        VARIABLES: json.dumps({"Parameters": {ENDPOINT: found.cloud.bridge_url}}, indent=2) + "\n",
        PROBE: json.dumps({"probe": True}) + "\n",
        ENVIRONMENT: environment(found),
        CONFIG: SAMCONFIG,
    }
    for file, text in files.items():
        write_atomically(target / file, text)
    settings = found.engine.environment.get("CONTAINERS_CONF", "")
    return {
        "folder": str(target),
        "engine": found.engine.name,
        "engine_settings": settings,
        "images": {name: image_tag(name) for name in names},
        "commands": commands(target, names),
    }


def _load(found: Needs, name: str, layout: Layout) -> None:
    """Load an image, with a layer above it that is for SAM alone."""
    entries = shell_entries(merged(layout), WORK)
    if file_of(layout, ROUTES) is not None:
        keys = read_keys(Path(found.cloud.keys))
        routes = replace(found.routes, key_hashes=keys).to_json()
        entries.append(Entry(path=ROUTES, source=routes.encode()))
    with half_made(WORK) as folder:
        above = [("for SAM alone", write_layer(entries, folder))] if entries else []
        archive = archive_of(layout, image_tag(name), above)
        if not archive.is_loaded(found.engine):
            load(found.engine, archive)


def environment(found: Needs) -> str:
    """Return lines for the shell that SAM is run in: the engine, the local cloud, and no telemetry."""
    variables = {
        **found.cloud.environment,
        "DOCKER_HOST": found.cloud.docker_host,
        "SAM_CLI_TELEMETRY": "0",
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    folder = shlex.quote(str(found.program.parent))
    return "\n".join([*lines, f'export PATH={folder}:"$PATH"', ""])


def commands(target: Path, names: list[str]) -> list[str]:
    """Return the lines for the shell that run SAM, the first of which the others need."""
    return [
        f"cd {shlex.quote(os.path.relpath(target))} && . ./{ENVIRONMENT}",
        f"sam local invoke {names[-1]} --event {PROBE}",
        "sam local start-api",
        "sam local start-lambda",
    ]


def show(written: Mapping[str, Any], console: Console) -> None:
    if written["engine_settings"]:
        text = f"{written['engine']} starts no container with its own settings here; used: {written['engine_settings']}"
        console.print(text, markup=False, soft_wrap=True)
    first, *others = written["commands"]
    console.print(
        f"SAM is ready in {written['folder']}; in a shell that is to run it:",
        markup=False,
        soft_wrap=True,
    )
    console.print(f"  {first}", markup=False, soft_wrap=True)
    console.print("then each of", markup=False)
    for line in others:
        console.print(f"  {line}", markup=False, soft_wrap=True)
