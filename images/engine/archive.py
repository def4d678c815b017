"""Images that we made, given to an engine without a registry or a network.

The archive is the one that `docker save` writes, which Docker and Podman load, with blobs by the names that an OCI
layout gives them: https://github.com/moby/moby/blob/v28.2.2/image/spec/spec.md#combined-image-json--filesystem-changeset-format
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from images.blob import blob_path
from images.engine.engine import Engine
from images.engine.errors import EngineFailed
from images.layer import Layer
from images.oci.layout import BLOBS
from images.oci.reading import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An image to load: its name and tag, its config as bytes, and the files of its layers, lowest first."""

    tag: str
    config: bytes
    layers: tuple[Path, ...]

    def is_loaded(self, engine: Engine) -> bool:
        """Return True if the engine has this very image under the tag; both name images by the hash of their config."""
        try:
            found = engine.run("image", "inspect", "--format", "{{.Id}}", self.tag)
        except EngineFailed:
            return False
        return found.removeprefix("sha256:") == hashlib.sha256(self.config).hexdigest()

    def write(self, stream: IO[bytes]) -> None:
        """Write the archive to a stream."""
        names = [f"{BLOBS}/{path.name}" for path in self.layers]
        manifest = [{"Config": "config.json", "RepoTags": [self.tag], "Layers": names}]
        with tarfile.open(fileobj=stream, mode="w|") as archive:
            _add(archive, "config.json", self.config)
            # Two layers may be equal.
            for name, path in dict(zip(names, self.layers, strict=True)).items():
                info = tarfile.TarInfo(name)
                info.size = path.stat().st_size
                with path.open("rb") as file:
                    archive.addfile(info, file)
            _add(archive, "manifest.json", json.dumps(manifest).encode())


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def archive_of(layout: Layout, tag: str, above: Sequence[tuple[str, Layer]] = ()) -> Archive:
    """Return the archive of a layout that was read, with further layers above, each with its comment."""
    config: dict[str, Any] = dict(layout.config)
    rootfs: Mapping[str, Any] = config["rootfs"]
    diff_ids = [*rootfs["diff_ids"], *(layer.diff_id for _, layer in above)]
    history = [*config.get("history", ()), *({"created_by": comment} for comment, _ in above)]
    config |= {"rootfs": {**rootfs, "diff_ids": diff_ids}, "history": history}
    blobs = layout.folder / BLOBS
    own = tuple(blob_path(blobs, layer["digest"]) for layer in layout.manifest["layers"])
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return Archive(
        tag=tag, config=text.encode(), layers=(*own, *(layer.blob for _, layer in above))
    )


def load(engine: Engine, archive: Archive) -> None:
    """Load an image into an engine under its tag; raise EngineFailed if it cannot."""
    engine.feed(archive.write, "load")
    try:
        engine.run("image", "inspect", archive.tag)
    except EngineFailed as error:
        raise EngineFailed(
            f"{engine.name} loaded an image, and has none named {archive.tag}"
        ) from error
