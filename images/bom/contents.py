"""The parts of an image, read from the image itself: packages of Python and Debian, and the model."""

import email
import email.message
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.manifest import MANIFEST, Manifest
from images.oci.filesystem import merged
from images.oci.reading import Layout
from images.wheel_files.locks import normalised

METADATA = re.compile(r"(?P<folder>[^/]+)\.dist-info/METADATA")
# The end of a bill's name, by which tools know the format.
ENDING = ".cdx.json"
DEBIAN, COPYRIGHT = "var/lib/dpkg/status.d/", "usr/share/doc/{}/copyright"
MODEL = "model"
DESCRIBING = re.compile(
    rf"\.dist-info/METADATA$|^{DEBIAN}|^usr/share/doc/[^/]+/copyright$|/{MODEL}/{MANIFEST}$"
)
APPROVED = "License :: OSI Approved :: "
# Short names of licences in a copyright file, and texts that it refers to.
# https://dep-team.pages.debian.net/deps/dep5/
SHORT_NAME = re.compile(r"^License:[ \t]*(\S[^\n]*)$", re.MULTILINE)
REFERRED = re.compile(r"/usr/share/common-licenses/([A-Za-z0-9.+-]*[A-Za-z0-9+])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package in an image. `licences` are as the package states them, none where it states none."""

    name: str
    version: str
    licences: tuple[str, ...]
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """The packages of Python and of Debian in an image, by their names, and the manifest of its model, if any."""

    wheels: Mapping[str, Package]
    debian: Mapping[str, Package]
    model: Manifest | None


def described(path: str) -> bool:
    """Return True for the path of a file that says what something in an image is."""
    return bool(DESCRIBING.search(path))


def materials_of(layout: Layout) -> Materials:
    """Return the packages and the model of an image, whose layout was read with `described` files kept."""
    kept = {member: data for layer in layout.layers for member, data in layer.kept.items()}
    filesystem = merged(layout)
    working_dir = str(layout.config.get("config", {}).get("WorkingDir", "")).strip("/")

    def text(path: str) -> str:
        member = filesystem.find(path)
        return kept[member].decode("utf-8", "replace") if member in kept else ""

    inside = [path.removeprefix(f"{working_dir}/") for path in filesystem.members]
    wheels = [_wheel(text(f"{working_dir}/{path}")) for path in inside if METADATA.fullmatch(path)]
    status = [path for path in filesystem.members if path.startswith(DEBIAN)]
    debian = [_debian(text(path), text) for path in status if text(path)]
    manifest = text(f"{working_dir}/{MODEL}/{MANIFEST}")
    return Materials(
        wheels={one.name: one for one in sorted(wheels, key=lambda one: one.name)},
        debian={one.name: one for one in sorted(debian, key=lambda one: one.name)},
        model=Manifest.from_json(manifest) if manifest else None,
    )


def _wheel(metadata: str) -> Package:
    fields = email.message_from_string(metadata)
    return Package(
        name=normalised(fields["Name"]),
        version=fields["Version"],
        licences=_wheel_licences(fields),
        summary=fields.get("Summary", ""),
    )


def _wheel_licences(fields: email.message.Message) -> tuple[str, ...]:
    """Return the licences that a wheel states: by an expression, else in a line, else by its classifiers."""
    stated = fields.get("License-Expression") or fields.get("License", "")
    # Some wheels have the whole text of their licence in that field.
    if stated and "\n" not in stated:
        return (stated,)
    classifiers = fields.get_all("Classifier", [])
    return tuple(c.removeprefix(APPROVED) for c in classifiers if c.startswith(APPROVED))


def _debian(status: str, text: Callable[[str], str]) -> Package:
    fields = email.message_from_string(status)
    name = fields["Package"]
    return Package(
        name=name,
        version=fields["Version"],
        licences=_debian_licences(text(COPYRIGHT.format(name))),
        summary=fields.get("Description", "").partition("\n")[0],
    )


def _debian_licences(copyright_file: str) -> tuple[str, ...]:
    names = [name.strip() for name in SHORT_NAME.findall(copyright_file)]
    return tuple(dict.fromkeys(names or REFERRED.findall(copyright_file)))


def gate_metrics(manifest: Manifest) -> list[dict[str, Any]]:
    """Return the figures of a model's gate as performance metrics, with their confidence intervals."""
    gate = dict(manifest.provenance.get("gate", {}))
    metrics = []
    for name, value in gate.items():
        if name.endswith(("_low", "_high")) or not isinstance(value, int | float):
            continue
        metric: dict[str, Any] = {"type": name, "value": json.dumps(value)}
        low, high = gate.get(f"{name}_low"), gate.get(f"{name}_high")
        if low is not None and high is not None:
            metric["confidenceInterval"] = {
                "lowerBound": json.dumps(low),
                "upperBound": json.dumps(high),
            }
        metrics.append(metric)
    return metrics
