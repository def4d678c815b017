"""`turnout sam` writes a folder that SAM runs in, or names everything that is missing."""

import io
import json
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from contracts.keys import key_hash
from contracts.manifest import MANIFEST
from contracts.specs import CpuSpec, Deployment, ModelSpec
from contracts.tasks import Task
from images.engine.engine import Engine
from images.engine.errors import EngineMissing
from images.image import Contents, Runtime
from images.layer import Entry
from images.oci.filesystem import file_of
from images.oci.reading import read_layout
from images.slimming.pieces import Slimming
from tests.fixtures.models.tiny import Tiny, artefact, seal
from tests.images.engine.programs import program
from tests.images.layouts import BASE
from tests.images.making import small_runtime, unasked
from turnout.image.current import ROUTES
from turnout.image.making import Wanted, image
from turnout.keys import write_keys
from turnout.sam.cloud import FILE, CloudForSam
from turnout.sam.making import write
from turnout.sam.needs import FindEngine, Places, SamFailed, needs

SHOP = Deployment(
    name="shop",
    models=(
        ModelSpec(
            name="intents",
            source=Path("nowhere"),
            task=Task.TEXT_CLASSIFICATION,
            eval=Path("nowhere"),
            cpu=CpuSpec(),
        ),
    ),
)
SHELL = tuple(Entry(path=f"usr/bin/{name}", source=b"\x7fELF") for name in ("sh", "mv", "chmod"))
# An engine that takes every image and keeps the archives.
TAKES = """
case $1 in
load) cat > "$0-$(ls "$0"-* 2>/dev/null | wc -l).tar" ;;
image) [ -e "$0-0.tar" ] || exit 1 ;;
esac
"""


def runtime(contents: Contents, base: str, work: Path, blobs: Path, slimming: Slimming) -> Runtime:
    """Return the runtime of a small base with a shell, so that nothing is downloaded."""
    return small_runtime(contents, blobs, base, (*BASE, *SHELL))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the artefact and the images of a deployment, once."""
    folder = tmp_path_factory.mktemp("made")
    artefact(folder / "out/intents/cpu", Tiny(model="intents"))
    wanted = Wanted(deployment=SHOP, out=folder / "out", key_hashes={"ci": "0" * 64})
    image(wanted, folder / "images", folder / "work", Console(file=io.StringIO()), runtime, unasked)
    return folder


@pytest.fixture
def places(made: Path, tmp_path: Path) -> Places:
    """Return the places of a deployment whose images are made."""
    for name in ("out", "images"):
        shutil.copytree(made / name, tmp_path / name)
    return Places(
        config=tmp_path / "models.toml",
        out=tmp_path / "out",
        images=tmp_path / "images",
        state=tmp_path / "state",
    )


@pytest.fixture
def cloud(places: Places) -> Iterator[CloudForSam]:
    """Leave the facts of a local cloud that answers."""
    keys = places.state / "keys.toml"
    write_keys(keys, {"laptop": key_hash("to-laptop")})
    with socket.create_server(("127.0.0.1", 0)) as server:
        facts = CloudForSam(
            config=str(places.config.resolve()),
            keys=str(keys),
            bridge_url="http://10.88.0.1:5000",
            docker_host="unix:///a/podman.sock",
            environment={"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.getsockname()[1]}"},
        )
        facts.save(places.state / FILE)
        yield facts


@pytest.fixture
def engine(tmp_path: Path) -> FindEngine:
    """Return what finds an engine; what it takes lies beside its program."""
    return lambda _: Engine(program=str(program(tmp_path / "engine", "docker", TAKES)))


def none(folder: Path) -> Engine:
    raise EngineMissing("no container engine: docker is not installed")


def codes(error: SamFailed) -> list[str]:
    return [problem.code for problem in error.problems]


def test_everything_that_is_missing_is_named_at_once(places: Places) -> None:
    elsewhere = replace(places, images=places.images / "other")
    with pytest.raises(SamFailed) as error:
        needs(SHOP, elsewhere, None, none)
    assert codes(error.value) == [
        "sam_missing", "cloud_down", "engine_missing", "image_missing", "image_missing",
    ]  # fmt: skip
    text = str(error.value)
    for step in ("`make sam`", "`turnout up --sam`", "docker is not installed", "`turnout image "):
        assert step in text


def test_a_cloud_that_was_killed_is_down(
    places: Places, cloud: CloudForSam, engine: FindEngine
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    replace(cloud, environment={"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}).save(
        places.state / FILE
    )
    with pytest.raises(SamFailed) as error:
        needs(SHOP, places, Path("sam"), engine)
    assert codes(error.value) == ["cloud_down"]


def test_a_cloud_of_another_deployment_is_not_taken(
    places: Places, cloud: CloudForSam, engine: FindEngine
) -> None:
    other = replace(places, config=places.config.with_name("other.toml"))
    with pytest.raises(SamFailed, match=r"serves .*models\.toml; name that by --config"):
        needs(SHOP, other, Path("sam"), engine)


def test_images_that_are_not_of_these_artefacts_are_refused(
    places: Places, cloud: CloudForSam, engine: FindEngine
) -> None:
    assert set(needs(SHOP, places, Path("sam"), engine).layouts) == {
        "shop-router", "shop-intents-cpu",
    }  # fmt: skip
    seal(places.out / "intents/cpu", Tiny(model="intents", labels=("good", "bad", "odd")))
    with pytest.raises(SamFailed) as error:
        needs(SHOP, places, Path("sam"), engine)
    assert codes(error.value) == ["image_stale", "image_stale"]
    assert "its routes changed since it was made" in str(error.value)
    assert "its weights changed since it was made" in str(error.value)


def test_images_on_a_base_that_is_another_one_by_now_are_refused(
    places: Places, cloud: CloudForSam, engine: FindEngine
) -> None:
    file = places.images / "images.json"
    record = json.loads(file.read_text("utf-8"))
    for row in record["made"].values():
        row |= {"base": "debian", "base_digest": "sha256:0"}
    file.write_text(json.dumps(record), "utf-8")
    with pytest.raises(SamFailed) as error:
        needs(SHOP, places, Path("sam"), engine)
    assert codes(error.value) == ["image_stale", "image_stale"]
    assert "run `turnout image --base debian shop-router`" in str(error.value)


def test_an_image_that_another_tool_put_there_is_stale(
    places: Places, cloud: CloudForSam, engine: FindEngine
) -> None:
    (places.images / "images.json").unlink()
    with pytest.raises(SamFailed, match="its record changed since it was made"):
        needs(SHOP, places, Path("sam"), engine)


def test_a_damaged_image_is_refused(places: Places, cloud: CloudForSam, engine: FindEngine) -> None:
    blobs = places.images / "shop-router/blobs/sha256"
    largest = max(blobs.iterdir(), key=lambda path: path.stat().st_size)
    largest.chmod(0o644)
    largest.unlink()
    with pytest.raises(SamFailed) as error:
        needs(SHOP, places, Path("sam"), engine)
    assert codes(error.value) == ["image_damaged"]


def test_missing_artefacts_are_named(
    places: Places, cloud: CloudForSam, engine: FindEngine
) -> None:
    (places.out / "intents/cpu" / MANIFEST).unlink()
    with pytest.raises(SamFailed) as error:
        needs(SHOP, places, Path("sam"), engine)
    assert codes(error.value) == ["artefact_broken"]


def test_the_folder_has_what_sam_is_run_with(
    places: Places, cloud: CloudForSam, engine: FindEngine, tmp_path: Path
) -> None:
    sam = program(tmp_path / "bin", "sam", "env")
    target = tmp_path / "sam.out"
    log = Console(file=io.StringIO())
    written = write(SHOP, places, target, log, engine, sam)
    enter, *commands = written["commands"]
    assert [command.split()[:3] for command in commands] == [
        ["sam", "local", "invoke"],
        ["sam", "local", "start-api"],
        ["sam", "local", "start-lambda"],
    ]
    said = subprocess.run(["sh", "-euc", f"{enter}\n{commands[1]}"], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    environment = dict(line.split("=", 1) for line in said.stdout.splitlines() if "=" in line)
    assert environment["DOCKER_HOST"] == "unix:///a/podman.sock"
    assert environment["AWS_ENDPOINT_URL"] == cloud.environment["AWS_ENDPOINT_URL"]
    assert environment["SAM_CLI_TELEMETRY"] == "0"
    values = json.loads((target / "environment.json").read_text("utf-8"))
    assert values == {"Parameters": {"AWS_ENDPOINT_URL": "http://10.88.0.1:5000"}}
    resources = json.loads((target / "template.json").read_text("utf-8"))["Resources"]
    images = {
        function["Properties"]["ImageUri"]
        for function in resources.values()
        if function["Type"] == "AWS::Serverless::Function"
    }
    assert images == set(written["images"].values())


def test_the_routers_image_for_sam_accepts_the_keys_of_the_local_cloud(
    places: Places, cloud: CloudForSam, engine: FindEngine, tmp_path: Path
) -> None:
    log = Console(file=io.StringIO())
    write(SHOP, places, tmp_path / "sam.out", log, engine, Path("sam"))
    routes = routes_in(tmp_path / "engine/docker-0.tar")
    assert list(routes["key_hashes"].values()) == [key_hash("to-laptop")]
    assert list(routes["models"]) == ["intents"]
    made = file_of(read_layout(places.images / "shop-router"), ROUTES)
    assert made is not None
    assert json.loads(made)["key_hashes"] == {"ci": "0" * 64}


def routes_in(archive: Path) -> dict[str, Any]:
    """Return the routes in the uppermost layer of an archive for an engine."""
    with tarfile.open(archive) as outer:
        manifest = json.load(outer.extractfile("manifest.json") or io.BytesIO())
        layer = outer.extractfile(manifest[0]["Layers"][-1]) or io.BytesIO()
        with tarfile.open(fileobj=layer) as inner:
            assert inner.getnames()[-1] == ROUTES
            routes: dict[str, Any] = json.load(inner.extractfile(ROUTES) or io.BytesIO())
            return routes
