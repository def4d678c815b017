"""A function as Lambda has it: the image's file system and settings, and a configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from images.blob import blob_path
from images.isolation.limits import Limits
from images.layer import Layer
from images.oci.layout import BLOBS, Settings
from images.oci.reading import Layout
from images.root import unpack_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of an image, with what the configuration of a deployment says of it."""

    name: str
    settings: Settings
    limits: Limits
    timeout_s: int
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> tuple[str, ...]:
        return (*self.settings.entrypoint, *self.settings.command)

    @property
    def environment(self) -> dict[str, str]:
        """Return its environment variables: the image's, Lambda's and those of its configuration, and no other.

        https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
        """
        return {
            **self.settings.environment,
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.limits.memory_mb),
            # Read by the emulator, which ends a request after it.
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(self.timeout_s),
            **self.variables,
        }


def layers_of(layout: Layout) -> list[Layer]:
    """Return the layers of an image that was read, lowest first."""
    diff_ids = layout.config["rootfs"]["diff_ids"]
    return [
        Layer(
            blob=blob_path(layout.folder / BLOBS, one["digest"]),
            digest=one["digest"],
            diff_id=diff_id,
            size=one["size"],
        )
        for one, diff_id in zip(layout.manifest["layers"], diff_ids, strict=True)
    ]


def unpack(layout: Layout, root: Path) -> None:
    """Unpack the file system of an image that was read into a folder; raise ImageError if a layer leads out of it."""
    unpack_layers(layers_of(layout), root)
