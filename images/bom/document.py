"""The bill of materials as a document of CycloneDX 1.6, with the model's card: https://cyclonedx.org/docs/1.6/json/.

The library has no model cards yet, so the card is put into the document that it writes; the whole is valid by the
schema. Equal images have equal documents: no time, and a serial number that follows from the image's digest.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.license import DisjunctiveLicense, License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from contracts.manifest import Manifest
from images.bom.contents import Materials, Package, gate_metrics

# The namespace of serial numbers, so that equal images have equal ones.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/docs/1.6/json/")
MODEL = "machine-learning-model"


def bill(
    name: str,
    digest: str,
    materials: Materials,
    wheels: Mapping[str, str],
    archives: Mapping[str, str],
    base: str = "",
) -> str:
    """Return the bill of an image. `wheels` and `archives` are the SHA-256 of what packages came in, by their names."""
    bom = Bom(serial_number=uuid.uuid5(NAMESPACE, digest))
    bom.metadata.component = Component(
        type=ComponentType.CONTAINER,
        name=name,
        version=digest,
        bom_ref="image",
        hashes=[_sha256(digest.removeprefix("sha256:"))],
        properties=[Property(name="turnout:base", value=base)],
    )
    bom.components.update(
        _component(package, "pypi", wheels, None) for package in materials.wheels.values()
    )
    bom.components.update(
        _component(package, "deb", archives, "debian") for package in materials.debian.values()
    )
    if materials.model:
        bom.components.add(_model(materials.model))
    bom.register_dependency(bom.metadata.component, bom.components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # It is the time of writing, which would make each bill another one.
    del document["metadata"]["timestamp"]
    if materials.model:
        (component,) = [one for one in document["components"] if one["type"] == MODEL]
        component["modelCard"] = card(materials.model)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _component(
    package: Package, kind: str, hashes: Mapping[str, str], namespace: str | None
) -> Component:
    url = PackageURL(kind, namespace, package.name, package.version)
    known = [_sha256(hashes[package.name])] if package.name in hashes else []
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        description=package.summary or None,
        bom_ref=url.to_string(),
        purl=url,
        hashes=known,
        licenses=_licences(package.licences),
    )


def _model(manifest: Manifest) -> Component:
    made = manifest.provenance
    facts = {
        "recipe": manifest.recipe,
        "precision": manifest.precision,
        "version": manifest.version,
        "source": made.get("kind"),
        "source_digest": manifest.source_digest,
        "rows": made.get("rows"),
        "rows_digest": made.get("rows_digest"),
        **{f"tool:{name}": version for name, version in manifest.toolchain.items()},
    }
    component = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=manifest.model,
        version=manifest.version,
        bom_ref=f"model:{manifest.model}",
        hashes=[_sha256(manifest.digest)],
        licenses=_licences([str(made["licence"])] if made.get("licence") else []),
        properties=[
            Property(name=f"turnout:{name}", value=str(value))
            for name, value in facts.items()
            if value
        ],
        components=[
            Component(
                type=ComponentType.FILE,
                name=file.path,
                bom_ref=f"model:{manifest.model}/{file.path}",
                hashes=[_sha256(file.sha256)],
            )
            for file in manifest.files
        ],
    )
    component.pedigree = _pedigree(manifest)
    return component


def _pedigree(manifest: Manifest) -> Pedigree:
    """Return the model that an artefact was made from: by its place on a hub or in a bucket, else by its digest."""
    origin = str(manifest.provenance.get("origin", ""))
    references = [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(origin))]
    source = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=origin.partition("@")[0] or f"source of {manifest.model}",
        version=origin.partition("@")[2] or manifest.source_digest[:12],
        bom_ref=f"source:{manifest.model}",
        external_references=references if origin else (),
        properties=[Property(name="turnout:source_digest", value=manifest.source_digest)],
    )
    return Pedigree(ancestors=[source], notes=f"quantized by the recipe {manifest.recipe}")


def card(manifest: Manifest) -> dict[str, Any]:
    """Return the card of a model: its task, what it takes and gives, and what its gate measured."""
    return {
        "modelParameters": {
            "task": manifest.task.value,
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "vector" if manifest.dimensions else "text"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": gate_metrics(manifest)},
        "properties": [
            {"name": f"turnout:{name}", "value": str(value)}
            for name, value in (
                ("max_tokens", manifest.max_tokens),
                ("labels", ", ".join(manifest.labels)),
                ("gate:metric", manifest.provenance.get("gate", {}).get("metric", "")),
                ("gate:rows", manifest.provenance.get("rows", "")),
            )
            if value
        ],
    }


def _licences(names: Iterable[str]) -> list[License]:
    """Return licences as the document has them: one expression, or else each by its SPDX id or its name."""
    factory = LicenseFactory()
    made: list[License] = [factory.make_from_string(name) for name in names]
    if len(made) == 1:
        return made
    # Beside others, the schema has no place for an expression.
    return [
        one if isinstance(one, DisjunctiveLicense) else DisjunctiveLicense(name=one.value)
        for one in made
    ]


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)
