"""Images as folders: a Dockerfile's `COPY` and settings, without its `RUN`."""

import json
import os
import shlex
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from images.dockerfile import instructions
from local.errors import LocalError

# Instructions without effect here. RUN mostly installs dependencies, which come from the image's lock file instead.
SKIPPED = ("ARG", "EXPOSE", "FROM", "LABEL", "RUN", "USER")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A file tree under `root`, and the start of its container."""

    root: str
    workdir: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    platform: str = ""

    def path(self, inside: str) -> Path:
        """Return the place on this machine of a path in the image."""
        return Path(self.root) / inside.lstrip("/")

    @property
    def folder(self) -> Path:
        return self.path(self.workdir)

    def save(self, store: Path, tag: str) -> None:
        file = store / f"{tag}.json"
        half = file.with_suffix(".half")
        half.write_text(json.dumps(asdict(self), indent=2), "utf-8")
        # A reader sees the old file or the new one, never half of it.
        os.replace(half, file)

    @classmethod
    def load(cls, store: Path, name: str) -> Self:
        """Read an image by its name in a registry; raise LocalError for one that was never built here."""
        tag = tag_of(name)
        try:
            document: dict[str, Any] = json.loads((store / f"{tag}.json").read_text("utf-8"))
        except FileNotFoundError as error:
            raise LocalError(
                f"no image {tag[:12]} was built in this local cloud; deploy it again"
            ) from error
        document["entrypoint"] = tuple(document["entrypoint"])
        document["command"] = tuple(document["command"])
        return cls(**document)


def tag_of(name: str) -> str:
    """Return the asset's hash, which the CDK writes as `cdkasset-HASH` and as `repository:PREFIX_HASH`."""
    return name.rpartition(":")[2].rpartition("_")[2].removeprefix("cdkasset-")


def build(build_context: Path, dockerfile: Path, root: Path, platform: str) -> Image:
    """Interpret a Dockerfile into the folder `root`; raise LocalError for an unknown instruction."""
    image = Image(root=str(root), platform=platform)
    root.mkdir(parents=True, exist_ok=True)
    environment: dict[str, str] = {}
    start: dict[str, tuple[str, ...]] = {"ENTRYPOINT": (), "CMD": ()}
    workdir = "/"
    for word, rest in instructions(dockerfile.read_text("utf-8")):
        if word == "COPY":
            _copy(build_context, image.path(workdir), image, rest)
        elif word == "ENV":
            name, _, value = rest.partition("=")
            environment[name.strip()] = value.strip().strip('"')
        elif word == "WORKDIR":
            workdir = rest
            image.path(workdir).mkdir(parents=True, exist_ok=True)
        elif word in start:
            # The last ENTRYPOINT and the last CMD count, as in Docker.
            start[word] = _exec_form(word, rest)
        elif word not in SKIPPED:
            raise LocalError(
                f"{dockerfile}: {word} is not supported by the local cloud; it supports "
                f"COPY, ENV, WORKDIR, ENTRYPOINT and CMD, and skips {', '.join(SKIPPED)}"
            )
    return Image(
        root=str(root),
        workdir=workdir,
        entrypoint=start["ENTRYPOINT"],
        command=start["CMD"],
        environment=environment,
        platform=platform,
    )


def _exec_form(word: str, rest: str) -> tuple[str, ...]:
    try:
        return tuple(json.loads(rest))
    except ValueError as error:
        raise LocalError(
            f'{word} {rest}: write it in exec form, such as {word} ["python", "-m", "x"]'
        ) from error


def _copy(build_context: Path, workdir: Path, image: Image, rest: str) -> None:
    # Options such as --chown have no effect here: every process runs as the user.
    *sources, target = [word for word in shlex.split(rest) if not word.startswith("--")]
    into = image.path(target) if target.startswith("/") else workdir / target
    for name in sources:
        source = build_context / name
        if source.is_dir():
            # As in Docker, the contents of a folder are copied and not the folder itself.
            shutil.copytree(source, into, dirs_exist_ok=True, copy_function=_link)
        elif target.endswith("/") or len(sources) > 1:
            into.mkdir(parents=True, exist_ok=True)
            _link(str(source), str(into / source.name))
        else:
            into.parent.mkdir(parents=True, exist_ok=True)
            _link(str(source), str(into))


def _link(source: str, target: str) -> str:
    """Link a file rather than copy it: a model lies on the disk once, however many images hold it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
