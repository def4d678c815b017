"""Functions that run in the images that `turnout image` made, as Lambda runs them: isolated and limited."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import IO, Any

from images.isolation.limits import Limits
from images.layer import Layer
from images.oci.layout import Settings
from images.oci.reading import Layout
from images.running.choice import Isolated, Isolating
from images.running.function import Function
from images.running.process import Process
from local.functions.environment import Start, command_of, configured

ENDPOINT = "AWS_ENDPOINT_URL"
NAME, ADDRESS = "//localhost:", "//127.0.0.1:"
# Lambda's default.
TIMEOUT_S = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that was made: the start of its container, and its isolation."""

    settings: Settings
    isolated: Isolated


class ByImage:
    """The images of one cloud by their digests, isolated until `undo`.

    Functions share the network of this machine, and reach the cloud by the variables that `base` returns for a role.
    """

    def __init__(
        self,
        isolating: Isolating,
        undo: ExitStack,
        *,
        base: Callable[[str], Mapping[str, str]],
        report: Callable[[str], None],
    ) -> None:
        self.isolating, self.undo, self.base, self.report = isolating, undo, base, report
        self.images: dict[str, Image] = {}

    def add(self, name: str, layout: Layout, above: Sequence[Layer]) -> None:
        """Isolate an image that was read; raise RunError if that cannot be done on this machine."""
        isolated = self.isolating.isolate(name, layout, self.undo, above)
        self.report(f"{name} is isolated by {isolated.by}")
        for note in isolated.notes:
            self.report(f"{name}: {note}")
        settings = Settings.read(layout.config["config"])
        self.images[str(layout.descriptors[0]["digest"])] = Image(
            settings=settings, isolated=isolated
        )

    def has(self, function: Any) -> bool:
        """Return True for a version that has one of these images."""
        return _digest_of(function) in self.images

    def start_of(self, function: Any) -> Start:
        """Return how a version that has one of these images is started."""
        image = self.images[_digest_of(function)]
        base = self.base(str(function.role))
        settings = image.settings
        if own := command_of(function):
            settings = replace(settings, command=(own,))
        variables = {
            **base,
            # An image need not have /etc/hosts, without which the name has no address.
            ENDPOINT: base[ENDPOINT].replace(NAME, ADDRESS),
            "_HANDLER": settings.command[-1],
            **configured(function),
        }

        def start(address: str, output: IO[bytes]) -> Process:
            of_version = Function(
                name=str(function.function_name),
                settings=settings,
                limits=Limits(memory_mb=int(function.memory_size)),
                timeout_s=int(function.timeout or TIMEOUT_S),
                variables={**variables, "AWS_LAMBDA_RUNTIME_API": address},
            )
            return image.isolated.isolation.start(of_version, output=output)

        return start


def _digest_of(function: Any) -> str:
    """Return the digest by which a version names its image; empty where it names none."""
    return str(function.code.get("ImageUri", "")).partition("@")[2]
