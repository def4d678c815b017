"""A synthesised stack as rules see it: its template, and the images that its asset manifest has built."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
ENDING = ".template.json"
_ASSET = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that an engine builds: its platform, and the texts of its Dockerfile and of its locked packages."""

    platform: str | None
    dockerfile: str
    requirements: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One stack. Images that were pushed before synthesis are not in `images`: their files are not at hand."""

    name: str
    template: Json
    images: dict[str, Image]

    @property
    def all(self) -> dict[str, Json]:
        """Return every resource by its logical id."""
        resources: dict[str, Json] = self.template["Resources"]
        return resources

    def of(self, kind: str) -> dict[str, Json]:
        """Return the properties of the resources of a type, by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.all.items()
            if resource["Type"] == kind
        }

    def named(self, value: object, kind: str) -> str | None:
        """Return the logical id of the resource of a type that a value refers to, itself or by an attribute."""
        match value:
            case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
                return name if self.all.get(name, {}).get("Type") == kind else None
        return None

    def image_of(self, uri: object) -> Image | None:
        """Return the image of a function or a container; None where it was pushed before."""
        found = _ASSET.search(text(uri))
        return self.images.get(found[0]) if found else None


def read_document(template: Path) -> Document:
    """Return a stack of a cloud assembly by its template, beside which its asset manifest and images are."""
    name = template.name.removesuffix(ENDING)
    manifest = json.loads(template.with_name(f"{name}.assets.json").read_text("utf-8"))
    images = {
        asset: _image(image["source"], template.parent)
        for asset, image in manifest.get("dockerImages", {}).items()
    }
    return Document(name=name, template=json.loads(template.read_text("utf-8")), images=images)


def _image(source: Json, assembly: Path) -> Image:
    folder = assembly / source["directory"]
    return Image(
        platform=source.get("platform"),
        dockerfile=(folder / "Dockerfile").read_text("utf-8"),
        requirements=(folder / "requirements.txt").read_text("utf-8"),
    )


def text(value: object) -> str:
    """Return a value as text, with `${...}` for what is not known before it is deployed.

    The parts of an ARN are told apart by colons, which pseudo parameters such as `${AWS.AccountId}` are left without.
    """
    match value:
        case {"Fn::Join": [separator, list(parts)]}:
            return str(separator).join(map(text, parts))
        case {"Fn::Sub": str(pattern)} | str(pattern):
            return pattern.replace("${AWS::", "${AWS.")
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            return f"${{{name.replace('::', '.')}}}"
    return json.dumps(value)


def number(value: object) -> float:
    """Return a number, which CloudFormation takes as text too; NaN, within every limit, for what is none yet."""
    try:
        return float(value) if isinstance(value, int | float | str) else math.nan
    except ValueError:
        return math.nan


def as_list(value: Any) -> list[Any]:
    """Return what CloudFormation takes as one value or as a list of several."""
    return value if isinstance(value, list) else [value]


def within(value: object) -> Iterator[Json]:
    """Yield every object of a document."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else as_list(value):
        if isinstance(part, dict | list):
            yield from within(part)
