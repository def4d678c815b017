"""Dockerfiles, read without an engine: by the local cloud, and so that both ways to build an image start it alike."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace

from images.oci.layout import Settings


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, without comments and with continued lines joined."""
    # Comments go first: as in Docker, one may stand between two lines that continue each other.
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    words = (line.strip().partition(" ") for line in joined.splitlines() if line.strip())
    return [(word.upper(), rest.strip()) for word, _, rest in words]


def _pair(text: str) -> dict[str, str]:
    name, _, value = text.partition("=")
    return {name.strip(): value.strip().strip('"')}


def settings_of(dockerfile: str, base: Settings) -> Settings:
    """Return an image's settings: its base's, with what the Dockerfile sets by ENV, LABEL, WORKDIR, ENTRYPOINT, CMD."""
    settings = base
    for word, rest in instructions(dockerfile):
        if word == "ENV":
            settings = replace(settings, environment={**settings.environment, **_pair(rest)})
        elif word == "LABEL":
            settings = replace(settings, labels={**settings.labels, **_pair(rest)})
        elif word == "WORKDIR":
            settings = replace(settings, working_dir=rest)
        elif word == "ENTRYPOINT":
            # As in Docker, the base's arguments are not those of another program.
            settings = replace(settings, entrypoint=tuple(json.loads(rest)), command=())
        elif word == "CMD":
            settings = replace(settings, command=tuple(json.loads(rest)))
    return settings


def pinned(dockerfile: str, digests: Mapping[str, str]) -> str:
    """Return a Dockerfile whose bases are named by their digests as well, where one is known.

    An engine then takes that image whatever the tag means by now:
    https://docs.docker.com/reference/dockerfile/#from
    """

    def with_digest(found: re.Match[str]) -> str:
        digest = digests.get(found[1])
        return f"{found[0]}@{digest}" if digest else found[0]

    return re.sub(r"^FROM (\S+)$", with_digest, dockerfile, flags=re.MULTILINE)
