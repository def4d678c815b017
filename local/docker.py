"""A stand-in for Docker's command line over folders: `login`, `inspect`, `build`, `tag` and `push`.

It serves laptops without a container engine. `RUN` is not executed, so an image that starts here is no proof that it
builds.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3

from local.errors import LocalError
from local.images import Image, build, tag_of

STORE = "TURNOUT_LOCAL_IMAGES"
Arguments = Sequence[str]


def login(arguments: Arguments, store: Path) -> int:
    # The CDK writes the password to standard input, and fails if nobody reads it.
    sys.stdin.read()
    return 0


# The CDK builds an image only if this ends with 1, as Docker does for one that is not there.
def inspect(arguments: Arguments, store: Path) -> int:
    return 0 if (store / f"{tag_of(arguments[-1])}.json").exists() else 1


def build_image(arguments: Arguments, store: Path) -> int:
    tag = tag_of(_option(arguments, "--tag"))
    build_context = Path(arguments[-1])
    dockerfile = build_context / _option(arguments, "--file", "Dockerfile")
    image = build(build_context, dockerfile, store / tag, _option(arguments, "--platform"))
    image.save(store, tag)
    return 0


# Both names end in the asset's hash, by which the store finds the image, so there is nothing to record.
def tag(arguments: Arguments, store: Path) -> int:
    return 0


def push(arguments: Arguments, store: Path) -> int:
    """Record the tag in the registry, so that the next deployment finds the image."""
    name = arguments[-1]
    place, _, tag = name.rpartition(":")
    Image.load(store, name)
    record(boto3.client("ecr"), place.partition("/")[2], tag)
    return 0


def record(registry: Any, repository: str, tag: str) -> None:
    """Put an image that was built into a repository of the registry."""
    # A manifest without layers is enough for moto's registry: the files lie in the store.
    digest = hashlib.sha256(tag.encode()).hexdigest()
    kind = "application/vnd.docker"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.distribution.manifest.v2+json",
        "config": {
            "mediaType": f"{kind}.container.image.v1+json",
            "size": 1,
            "digest": f"sha256:{digest}",
        },
        "layers": [],
    }
    registry.put_image(repositoryName=repository, imageTag=tag, imageManifest=json.dumps(manifest))


COMMANDS: dict[str, Callable[[Arguments, Path], int]] = {
    "login": login,
    "inspect": inspect,
    "build": build_image,
    "tag": tag,
    "push": push,
}


def _option(arguments: Arguments, name: str, default: str = "") -> str:
    return arguments[arguments.index(name) + 1] if name in arguments else default


def main() -> int:
    command, *arguments = sys.argv[1:] or ["help"]
    if command not in COMMANDS:
        sys.stderr.write(
            f"{command}: not a command of this stand-in for Docker; the CDK needs {', '.join(COMMANDS)}\n"
        )
        return 1
    try:
        return COMMANDS[command](arguments, Path(os.environ[STORE]))
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
