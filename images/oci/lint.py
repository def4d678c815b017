"""Reasons why Lambda refuses an image that an engine runs, found before it is pushed.

Each rule names its source. AWS documents some; of the others, Lambda's own messages are in public reports, and Lambda
reports one at a time, after the push. Nothing here has been compared with a real account.
"""

from collections.abc import Callable, Iterator
from tarfile import TarInfo
from typing import Any

from contracts.limits import LAMBDA_IMAGE_BYTES
from contracts.problems import Code, Problem
from images.oci.filesystem import Filesystem, merged
from images.oci.layout import ARCHITECTURE, CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE, SYSTEM
from images.oci.reading import Layout, is_attestation

DOCKER = "application/vnd.docker"
MANIFESTS = (MANIFEST_TYPE, f"{DOCKER}.distribution.manifest.v2+json")
CONFIGS = (CONFIG_TYPE, f"{DOCKER}.container.image.v1+json")
LAYERS = (
    LAYER_TYPE,
    "application/vnd.oci.image.layer.v1.tar",
    f"{DOCKER}.image.rootfs.diff.tar.gzip",
)
SHOWN = 10


def lint(layout: Layout) -> list[Problem]:
    """Return every reason why Lambda would refuse the image, in the order of the rules."""
    return [
        Problem(code=code, message=message)
        for code, rule in RULES
        for message in _shortened([*rule(layout)])
    ]


def _shortened(messages: list[str]) -> list[str]:
    """Return the first messages of a rule, and the number of the others: thousands of files may have a wrong mode."""
    more = len(messages) - SHOWN
    return [*messages[:SHOWN], *([f"and {more} more of this kind"] if more > 0 else [])]


def one_manifest(layout: Layout) -> Iterator[str]:
    """Yield the problem of an index: Lambda takes one manifest for one architecture.

    "The image manifest, config or layer media type for the source image is not supported":
    https://github.com/aws/aws-lambda-roadmap/issues/82, and "Lambda does not support functions that use
    multi-architecture container images": https://docs.aws.amazon.com/lambda/latest/dg/images-create.html
    """
    images = [one for one in layout.descriptors if not is_attestation(one)]
    if len(images) != 1:
        yield f"its index names {len(images)} images or indices; build it for linux/amd64 alone"


def no_attestations(layout: Layout) -> Iterator[str]:
    """Yield the problem of attestations, which make an index of an image.

    https://docs.aws.amazon.com/lambda/latest/dg/python-image.html asks for `--provenance=false` because of them.
    """
    if any(is_attestation(one) for one in layout.descriptors):
        yield "it has attestations beside the image; build it with --provenance=false --sbom=false"


def media_types(layout: Layout) -> Iterator[str]:
    """Yield media types other than those of an image of Docker's manifest V2, schema 2, or of OCI 1.0.

    These two are the formats that AWS documents. Lambda's message is that of `one_manifest`; for layers it is
    `UnsupportedImageLayerDetected`, also for a Docker layer that is not compressed:
    https://github.com/aspect-build/rules_aws/pull/145. Layers of zstd and artefacts came with OCI 1.1, so that they are
    refused is an inference.
    """
    manifest = layout.manifest
    # In a manifest of OCI the key may be left out.
    yield from _unsupported("manifest", manifest.get("mediaType", MANIFEST_TYPE), MANIFESTS)
    yield from _unsupported("config", manifest["config"].get("mediaType"), CONFIGS)
    for number, layer in enumerate(layout.layers, start=1):
        yield from _unsupported(f"layer {number}", layer.media_type, LAYERS)
    if manifest.get("artifactType"):
        yield f"it is an OCI artefact of type {manifest['artifactType']}; push an image"


def _unsupported(what: str, found: object, supported: tuple[str, ...]) -> Iterator[str]:
    if found not in supported:
        yield f"its {what} has the media type {found}; Lambda takes {' and '.join(supported)}"


def platform(layout: Layout) -> Iterator[str]:
    """Yield another architecture than the function's, and another system than Linux.

    An image for arm64 ends with `exec format error`: https://github.com/aws/aws-lambda-base-images/issues/26.
    """
    found = f"{layout.config.get('os')}/{layout.config.get('architecture')}"
    if found != f"{SYSTEM}/{ARCHITECTURE}":
        yield f"it is for {found}; functions here are for {SYSTEM}/{ARCHITECTURE}"


def parents(layout: Layout) -> Iterator[str]:
    """Yield files whose folder has no entry before them in their own layer.

    "InvalidImage: MissingParentDirectory: Parent directory does not exist for file":
    https://github.com/aspect-build/rules_aws/issues/103. That a lower layer's entry is not enough is an assumption:
    engines write one into each layer.
    """
    for number, layer in enumerate(layout.layers, start=1):
        folders = {""}
        for member in layer.members:
            path = _plain(member)
            above = path.rpartition("/")[0]
            if above not in folders:
                yield f"layer {number} has {path}, but no entry for its folder {above} before it"
                folders.add(above)
            if member.isdir():
                folders.add(path)


def _plain(member: TarInfo) -> str:
    return member.name.removeprefix("./").strip("/") if member.name != "." else ""


def paths_within(layout: Layout) -> Iterator[str]:
    """Yield entries that would be unpacked elsewhere, and kinds that no function has use for.

    A tool that unpacks such a layer without care writes outside of its folder (CWE-22); engines only drop the root.
    """
    for number, layer in enumerate(layout.layers, start=1):
        for member in layer.members:
            if ".." in member.name.split("/"):
                yield f"layer {number} has {member.name!r}, which leads out of the image"
            elif member.isdev():
                yield f"layer {number} has {member.name!r}, which is a device or a pipe"


def readable(layout: Layout) -> Iterator[str]:
    """Yield files below the working directory that others than their owner cannot read.

    "The default Lambda user must be able to read all the files required to run your function code":
    https://docs.aws.amazon.com/lambda/latest/dg/images-create.html
    """
    files, place = merged(layout), _working_dir(layout).strip("/")
    for path, member in files.members.items():
        inside = path == place or path.startswith(f"{place}/") or not place
        around = member.isdir() and f"{place}/".startswith(f"{path}/")
        need = 0o005 if member.isdir() else 0o004
        if (inside or around) and not member.issym() and member.mode & need != need:
            yield f"{path} has the mode {member.mode:04o}, and the function's user is another one; make it {need:03o}"


def size(layout: Layout) -> Iterator[str]:
    """Yield the size of an image beyond 10 GB, uncompressed and with all of its layers.

    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    total = sum(layer.size for layer in layout.layers)
    if total > LAMBDA_IMAGE_BYTES:
        yield f"its layers are {total / 1e9:.1f} GB uncompressed; the limit is {LAMBDA_IMAGE_BYTES / 1e9:.0f} GB"


def start(layout: Layout) -> Iterator[str]:
    """Yield an entry point that Lambda cannot start.

    "ENTRYPOINT: Specifies the absolute path to the entry point of the application", and the same of WORKDIR:
    https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#images-parms. One that is missing or not executable
    ends in `Runtime.InvalidEntrypoint`.
    """
    settings = _settings(layout)
    words: dict[str, list[str]] = {}
    for key in ("Entrypoint", "Cmd"):
        found = settings.get(key) or []
        if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
            yield f"its {key} is {found!r}; it has to be a list of texts, the exec form"
            found = []
        words[key] = found
    if not _working_dir(layout).startswith("/"):
        yield f"its WorkingDir is {_working_dir(layout)!r}; it has to be absolute"
    yield from _program(words["Entrypoint"], words["Cmd"], merged(layout))


def _program(entrypoint: list[str], command: list[str], files: Filesystem) -> Iterator[str]:
    if not (program := (entrypoint or command)[:1]):
        yield "it has neither an Entrypoint nor a Cmd; name the runtime client"
    elif not program[0].startswith("/"):
        yield f"it starts {program[0]!r}; the path has to be absolute"
    elif not (found := files.find(program[0])) or not (found.isreg() or found.islnk()):
        yield f"it starts {program[0]}, which is no file in it"
    elif found.mode & 0o005 != 0o005:
        yield f"it starts {program[0]}, which the function's user cannot execute"
    # A shell reads the one text behind -c, and takes the rest for the names of its own parameters.
    if entrypoint[1:2] == ["-c"] and command:
        yield "its Entrypoint is a shell's, which passes on no Cmd; write it in exec form"


def _settings(layout: Layout) -> dict[str, Any]:
    found = layout.config.get("config")
    return found if isinstance(found, dict) else {}


def _working_dir(layout: Layout) -> str:
    return str(_settings(layout).get("WorkingDir") or "/")


RULES: tuple[tuple[Code, Callable[[Layout], Iterator[str]]], ...] = (
    (Code.IMAGE_MANIFEST, one_manifest),
    (Code.IMAGE_MANIFEST, no_attestations),
    (Code.IMAGE_MEDIA_TYPE, media_types),
    (Code.IMAGE_PLATFORM, platform),
    (Code.IMAGE_PATH, parents),
    (Code.IMAGE_PATH, paths_within),
    (Code.IMAGE_MODE, readable),
    (Code.IMAGE_TOO_LARGE, size),
    (Code.IMAGE_START, start),
)
