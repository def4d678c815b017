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

import boto3

from local.errors import LocalError
from local.images import Image, build

STORE = "TURNOUT_LOCAL_IMAGES"
Words = Sequence[str]


def tag_of(name: str) -> str:
    """Return the asset's hash, which the CDK writes as `cdkasset-HASH` and as `repository:HASH`."""
    return name.rpartition(":")[2].removeprefix("cdkasset-")


def login(words: Words, store: Path) -> int:
    sys.stdin.read()
    return 0


def inspect(words: Words, store: Path) -> int:
    return 0 if (store / f"{tag_of(words[-1])}.json").exists() else 1


def build_image(words: Words, store: Path) -> int:
    tag = tag_of(_option(words, "--tag"))
    context = Path(words[-1])
    dockerfile = context / _option(words, "--file", "Dockerfile")
    image = build(context, dockerfile, store / tag, _option(words, "--platform"))
    image.save(store, tag)
    return 0


def tag(words: Words, store: Path) -> int:
    return 0


def push(words: Words, store: Path) -> int:
    """Record the tag in the registry, so that the next deployment finds the image."""
    name, _, tag = words[-1].rpartition(":")
    Image.load(store, tag)
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
    registry = boto3.client("ecr")
    registry.put_image(
        repositoryName=name.partition("/")[2], imageTag=tag, imageManifest=json.dumps(manifest)
    )
    return 0


COMMANDS: dict[str, Callable[[Words, Path], int]] = {
    "login": login,
    "inspect": inspect,
    "build": build_image,
    "tag": tag,
    "push": push,
}


def _option(words: Words, name: str, default: str = "") -> str:
    return words[words.index(name) + 1] if name in words else default


def main() -> int:
    command, *words = sys.argv[1:] or ["help"]
    if command not in COMMANDS:
        sys.stderr.write(f"{command}: not known here; the CDK needs {', '.join(COMMANDS)}\n")
        return 1
    try:
        return COMMANDS[command](words, Path(os.environ[STORE]))
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
