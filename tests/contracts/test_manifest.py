"""Sealed folders: what was sealed is what is loaded, or nothing is."""

import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.keys import key_hash, new_key
from contracts.manifest import (
    MANIFEST,
    Manifest,
    SealedFile,
    check_sizes,
    kernels_in,
    kernels_of,
    read_manifest,
    sealed_files,
    verify,
)
from contracts.names import (
    MAX_DEPLOYMENT_CHARS,
    MAX_MODEL_CHARS,
    canary_parameter,
    endpoint,
    is_name,
    observer_function,
    prober_function,
    registry,
    release_parameter,
    router_stack,
    sampling_function,
    states_stack,
)
from contracts.routes import Route, Routes, Target
from contracts.tasks import Server, Task, Tier
from stacks.instances import instances
from tests.fixtures.problems import raises


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"weights" * 1000)
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    manifest = Manifest(
        model="m",
        task=Task.TEXT_CLASSIFICATION,
        tier=Tier.CPU,
        precision="int8",
        recipe="int8",
        max_tokens=128,
        labels=("nein", "ja", "früh"),
        toolchain={"onnx": "1"},
        files=sealed_files(tmp_path, ["tokenizer.json", "model.onnx"]),
    ).sealed()
    (tmp_path / MANIFEST).write_text(manifest.to_json(), "utf-8")
    return tmp_path


def test_a_complete_folder_is_verified(artefact: Path) -> None:
    manifest = verify(artefact)
    assert manifest == read_manifest(artefact)
    assert manifest.version == manifest.digest[:12]
    assert manifest.size == 7002
    assert manifest.labels == ("nein", "ja", "früh")


def reseal(folder: Path, **changes: Any) -> None:
    """Write other values into the manifest, and a digest that is right for them."""
    manifest = replace(read_manifest(folder), **changes)
    (folder / MANIFEST).write_text(manifest.sealed().to_json(), "utf-8")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_one_flipped_bit_is_noticed(artefact: Path, name: str) -> None:
    flip(artefact / name)
    with raises("artefact_broken", artefact / name, "sealed"):
        verify(artefact)


def test_a_manifest_with_a_library_of_any_architecture_has_kernels(artefact: Path) -> None:
    assert not read_manifest(artefact).has_kernels
    (artefact / kernels_of("other")).touch()
    sealed = sealed_files(artefact, ["model.onnx", kernels_of("other")])
    assert replace(read_manifest(artefact), files=sealed).has_kernels


def test_the_library_of_this_machines_architecture_is_found(tmp_path: Path) -> None:
    (tmp_path / "kernels-other.so").touch()
    assert kernels_in(tmp_path) is None
    library = tmp_path / kernels_of(platform.machine())
    library.touch()
    assert kernels_in(tmp_path) == library
    # A Mac with an Intel processor has the same name of its architecture, and does not load it.
    assert kernels_in(tmp_path, "darwin") is None


def test_a_cut_file_and_a_missing_one_are_noticed(artefact: Path) -> None:
    (artefact / "model.onnx").write_bytes(b"weights")
    with raises("artefact_broken", artefact / "model.onnx", "sealed"):
        verify(artefact)
    (artefact / "model.onnx").unlink()
    with raises("artefact_broken", artefact / "model.onnx", "missing"):
        verify(artefact)


def test_sizes_are_checked_without_reading_what_is_in_the_files(artefact: Path) -> None:
    flip(artefact / "model.onnx")
    assert check_sizes(artefact) == read_manifest(artefact)
    with (artefact / "model.onnx").open("ab") as file:
        file.write(b"x")
    with raises("artefact_broken", artefact / "model.onnx", "sealed"):
        check_sizes(artefact)
    (artefact / "model.onnx").unlink()
    with raises("artefact_broken", artefact / "model.onnx", "missing"):
        check_sizes(artefact)


def test_a_changed_manifest_is_noticed(artefact: Path) -> None:
    path = artefact / MANIFEST
    path.write_text(
        path.read_text("utf-8").replace('"max_tokens": 128', '"max_tokens": 256'), "utf-8"
    )
    with raises("artefact_broken", path, "changed"):
        read_manifest(artefact)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": "2"}',
        '{"schema": 2}',
        '{"schema": 2, "files": 3}',
        "[" * 100_000,
        "9" * 5_000,
    ],
    ids=lambda text: str(text)[:20],
)
def test_what_is_no_manifest_is_refused(artefact: Path, text: str) -> None:
    (artefact / MANIFEST).write_text(text, "utf-8")
    with raises("artefact_broken", f"{artefact / MANIFEST}: "):
        verify(artefact)


@pytest.mark.parametrize("schema", [1, 3])
def test_another_version_of_the_format_is_named_with_the_next_step(
    artefact: Path, schema: int
) -> None:
    text = (artefact / MANIFEST).read_text("utf-8")
    (artefact / MANIFEST).write_text(text.replace('"schema": 2', f'"schema": {schema}'), "utf-8")
    version = f"version {schema} of the format"
    with raises(
        "artefact_outdated", artefact / MANIFEST, version, "version 2", "build the model again"
    ):
        verify(artefact)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_tokens", "128"),
        ("dimensions", True),
        ("labels", ("ja", 3)),
        ("toolchain", {"onnx": 1}),
        ("details", []),
        ("model", None),
    ],
)
def test_values_of_another_kind_are_refused_though_they_were_sealed(
    artefact: Path, key: str, value: object
) -> None:
    reseal(artefact, **{key: value})
    with raises("artefact_broken", f"{artefact / MANIFEST}: ", f" {value!r} ", f" {key};"):
        read_manifest(artefact)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", ".", ""])
def test_a_file_outside_of_the_folder_is_refused_and_not_read(artefact: Path, path: str) -> None:
    reseal(artefact, files=(SealedFile(path=path, sha256="0", size=1),))
    with raises("artefact_broken", artefact / MANIFEST, f" {path!r}, ", "within"):
        verify(artefact)


def test_a_text_that_no_utf8_can_hold_is_refused(artefact: Path) -> None:
    path = artefact / MANIFEST
    path.write_text(path.read_text("utf-8").replace('"ja"', r'"\ud800"'), "utf-8")
    with raises("artefact_broken", artefact, MANIFEST, "readable"):
        read_manifest(artefact)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with raises("artefact_broken", tmp_path, MANIFEST, "readable"):
        verify(tmp_path)


def test_routes_survive_their_file(tmp_path: Path) -> None:
    target = Target(
        model="m",
        tier=Tier.CPU,
        address="d-m-cpu:live",
        version="0123456789ab",
        precision="int8",
        max_inputs=3,
        max_chars=9,
        max_tokens=128,
        timeout_s=20,
        server=Server.VLLM,
    )
    route = Route(
        model="m",
        task=Task.FEATURE_EXTRACTION,
        targets={Tier.CPU: target},
        dimensions=384,
        chat=True,
    )
    routes = Routes(
        deployment="d",
        registry="t",
        models={"m": route},
        key_hashes={"k": "h"},
        cors_origins=("*",),
    )
    path = tmp_path / "routes.json"
    path.write_text(routes.to_json(), "utf-8")
    assert Routes.read(path) == routes


def test_a_model_takes_chats_if_its_manifest_describes_a_template(artefact: Path) -> None:
    manifest = verify(artefact)
    assert not manifest.chat
    assert replace(manifest, details={"chat": {}}).chat


def test_keys_differ_and_are_hashed_by_sha256() -> None:
    assert new_key() != new_key()
    assert key_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("a", True),
        ("a1-b2", True),
        ("1a", False),
        ("a-", False),
        ("a--b", False),
        ("A", False),
        ("", False),
    ],
)
def test_names_are_what_aws_takes_everywhere(name: str, allowed: bool) -> None:
    assert is_name(name, 16) is allowed


def test_the_longest_names_are_within_the_budget() -> None:
    deployment, model = "d" * MAX_DEPLOYMENT_CHARS, "m" * MAX_MODEL_CHARS
    # The longest name that SageMaker takes for an endpoint.
    names = {endpoint(deployment, model, instance) for instance in instances()}
    assert len(names) == len(instances())
    assert max(map(len, names)) <= 63
    assert router_stack("x") == "x-router"
    assert prober_function("x") == "x-prober"
    assert (states_stack("x"), observer_function("x")) == ("x-states", "x-observer")
    assert sampling_function("x") == "x-sampler"
    assert canary_parameter("x", "y") == f"{release_parameter('x', 'y', Tier.CPU)}-canary"
    assert release_parameter("x", "y", Tier.CPU) == f"{registry('x')}/y/cpu" == "/turnout/x/y/cpu"
