"""The bill of an image: every package and the model, valid by CycloneDX 1.6, and the same for the same image."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from contracts.manifest import Manifest, SealedFile
from contracts.tasks import Task, Tier
from images.bom.contents import Materials, described, materials_of
from images.bom.document import bill
from images.layer import Entry, write_layer
from images.oci.layout import write_layout
from images.oci.reading import read_layout
from tests.images.layouts import BASE, SETTINGS

DIGEST = "sha256:" + "5" * 64
GATE = {
    "metric": "accuracy",
    "metric_built": 0.854271,
    "metric_original": 0.849246,
    "agreement": 0.984925,
    "agreement_low": 0.967505,
    "agreement_high": 0.993073,
}
MANIFEST = Manifest(
    model="intents",
    task=Task.TEXT_CLASSIFICATION,
    tier=Tier.CPU,
    precision="int8",
    recipe="int8",
    max_tokens=512,
    labels=("yes", "no"),
    provenance={
        "kind": "Hugging Face folder",
        "origin": "hf://org/intents@0123456789abcdef",
        "licence": "apache-2.0",
        "rows": 398,
        "rows_digest": "8" * 64,
        "gate": GATE,
    },
    source_digest="1" * 64,
    toolchain={"onnxruntime": "1.28.0"},
    files=(SealedFile(path="model.onnx", sha256="2" * 64, size=3),),
).sealed()
NONE: Mapping[str, str] = {}
DEB = "Package: {}\nVersion: {}\nDescription: a library\n and more of it\n"


def wheel(name: str, *lines: str, version: str = "1.0", body: str = "") -> Entry:
    """Return the metadata of an installed wheel."""
    head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
    text = head + "".join(f"{line}\n" for line in lines) + f"\n{body}"
    return Entry(path=f"var/task/{name}-{version}.dist-info/METADATA", source=text.encode())


def debian(name: str, copyright_file: str = "", version: str = "1:2.0+deb13u1") -> list[Entry]:
    """Return what an image has of a package of Debian besides its files."""
    fields = DEB.format(name, version).encode()
    texts = [Entry(path=f"usr/share/doc/{name}/copyright", source=copyright_file.encode())]
    status = Entry(path=f"var/lib/dpkg/status.d/{name}", source=fields)
    return [status, *(texts if copyright_file else [])]


def materials(folder: Path, *layers: list[Entry]) -> Materials:
    """Return what an image of these layers is made of."""
    written = [("layer", write_layer(entries, folder / "blobs")) for entries in (BASE, *layers)]
    write_layout(folder / "image", "image", written, SETTINGS)
    return materials_of(read_layout(folder / "image", described))


def document(
    found: Materials, wheels: Mapping[str, str] = NONE, archives: Mapping[str, str] = NONE
) -> dict[str, Any]:
    text = bill("shop-intents-cpu", DIGEST, found, wheels, archives)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def components(
    found: Materials, wheels: Mapping[str, str] = NONE, archives: Mapping[str, str] = NONE
) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in document(found, wheels, archives)["components"]}


def test_wheels_and_packages_have_version_hash_place_and_licence(tmp_path: Path) -> None:
    found = materials(
        tmp_path,
        debian("zlib1g", "Files: *\nLicense: Zlib\n\nFiles: debian/*\nLicense: GPL-2+\n"),
        [wheel("Shop_Keeper", "Summary: keeps", "License-Expression: MIT OR Apache-2.0")],
    )
    listed = components(found, wheels={"shop-keeper": "a" * 64}, archives={"zlib1g": "b" * 64})
    of_wheel, of_debian = listed["shop-keeper"], listed["zlib1g"]
    assert (of_wheel["version"], of_wheel["purl"]) == ("1.0", "pkg:pypi/shop-keeper@1.0")
    assert of_wheel["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert of_wheel["licenses"] == [{"expression": "MIT OR Apache-2.0"}]
    assert of_wheel["description"] == "keeps"
    assert of_debian["version"] == "1:2.0+deb13u1"
    assert of_debian["purl"].startswith("pkg:deb/debian/zlib1g@")
    assert of_debian["hashes"][0]["content"] == "b" * 64
    assert [one["license"] for one in of_debian["licenses"]] == [{"id": "Zlib"}, {"name": "GPL-2+"}]


STATED: dict[str, tuple[tuple[str, ...], list[dict[str, Any]]]] = {
    "expression": (("License-Expression: MIT", "License: BSD"), [{"license": {"id": "MIT"}}]),
    "line": (("License: Do as you like",), [{"license": {"name": "Do as you like"}}]),
    "classifiers": (
        ("Classifier: License :: OSI Approved :: MIT License", "Classifier: Topic :: x"),
        [{"license": {"name": "MIT License"}}],
    ),
    "whole text": (("License: first line", "        second line"), []),
    "none": ((), []),
}


@pytest.mark.parametrize("how", STATED)
def test_the_licence_of_a_wheel_is_what_it_states(tmp_path: Path, how: str) -> None:
    lines, licences = STATED[how]
    listed = components(materials(tmp_path, [wheel("shop", *lines)]))
    assert listed["shop"].get("licenses", []) == licences


def test_a_package_that_shares_the_licence_of_another_has_it(tmp_path: Path) -> None:
    link = Entry(path="usr/share/doc/libb", link="liba")
    shared = [*debian("liba", "License: MIT\n"), *debian("libb"), link]
    referring = debian("old", "On Debian, see /usr/share/common-licenses/LGPL-2.1.\n")
    listed = components(materials(tmp_path, shared, referring))
    assert listed["liba"]["licenses"] == listed["libb"]["licenses"]
    assert listed["old"]["licenses"] == [{"license": {"id": "LGPL-2.1"}}]


def test_the_model_has_its_source_recipe_digest_and_gate(tmp_path: Path) -> None:
    entry = Entry(path="var/task/model/manifest.json", source=MANIFEST.to_json().encode())
    found = materials(tmp_path, [entry])
    model = components(found)["intents"]
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [{"alg": "SHA-256", "content": MANIFEST.digest}]
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert [one["name"] for one in model["components"]] == ["model.onnx"]
    facts = {one["name"]: one["value"] for one in model["properties"]}
    assert facts["turnout:recipe"] == "int8"
    assert facts["turnout:tool:onnxruntime"] == "1.28.0"
    (source,) = model["pedigree"]["ancestors"]
    assert (source["name"], source["version"]) == ("hf://org/intents", "0123456789abcdef")
    assert source["properties"] == [{"name": "turnout:source_digest", "value": "1" * 64}]
    card = model["modelCard"]
    assert card["modelParameters"]["task"] == "text-classification"
    metrics = {m["type"]: m for m in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert metrics["agreement"] == {
        "type": "agreement",
        "value": "0.984925",
        "confidenceInterval": {"lowerBound": "0.967505", "upperBound": "0.993073"},
    }
    assert metrics["metric_built"]["value"] == "0.854271"


def test_a_source_of_this_machine_is_named_by_its_digest(tmp_path: Path) -> None:
    local = replace(MANIFEST, provenance={**MANIFEST.provenance, "origin": "", "licence": ""})
    found = Materials(wheels={}, debian={}, model=local.sealed())
    model = components(found)["intents"]
    (source,) = model["pedigree"]["ancestors"]
    assert (source["name"], source["version"]) == ("source of intents", "1" * 12)
    assert "licenses" not in model


def test_equal_images_have_equal_bills_and_others_have_not(tmp_path: Path) -> None:
    found = materials(tmp_path, [wheel("shop")], debian("zlib1g"))
    assert bill("a", DIGEST, found, {}, {}) == bill("a", DIGEST, found, {}, {})
    other = json.loads(bill("a", "sha256:" + "6" * 64, found, {}, {}))
    assert other["serialNumber"] != document(found)["serialNumber"]
    assert document(found)["metadata"]["component"]["version"] == DIGEST


BREAK: dict[str, Callable[[dict[str, Any]], object]] = {
    "a component without a name": lambda bom: bom["components"][0].pop("name"),
    "an unknown key": lambda bom: bom["components"][0].update(x=1),
    "a card with another key": lambda bom: bom["components"][-1].update(modelCard={"x": 1}),
    "a hash of another length": lambda bom: bom["components"][0].update(
        hashes=[{"alg": "SHA-256", "content": "ab"}]
    ),
}


@pytest.mark.parametrize("how", BREAK)
def test_the_schema_would_notice(how: str) -> None:
    found = document(Materials(wheels={}, debian={}, model=MANIFEST))
    BREAK[how](found)
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(found))
    assert error is not None
