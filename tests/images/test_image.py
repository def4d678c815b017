"""Images hold what Docker's build contexts hold, in layers in order of change, the same wherever they are made."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from contracts.tasks import Tier
from images.errors import ImageError
from images.image import Built
from images.oci.reading import read_layout
from images.staging import Staging, model_contents
from tests.fixtures.models.tiny import artefact as seal
from tests.fixtures.models.tiny import vectors
from tests.fixtures.paths import ROOT
from tests.images.making import PACKAGES, changed_code, cpu, make, router

TASK = "var/task"


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seal(tmp_path_factory.mktemp("artefact") / "cpu")


@pytest.fixture(scope="module")
def image(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return make(cpu(artefact), tmp_path_factory.mktemp("image"))


def files(built: Built, layer: str) -> dict[str, bytes]:
    """Return the files of one of an image's layers by their paths."""
    (found,) = (one for name, one in built.layers if name == layer)
    with tarfile.open(found.blob) as archive:
        return {
            member.name: source.read()
            for member in archive
            if (source := archive.extractfile(member))
        }


def all_files(built: Built) -> dict[str, bytes]:
    names = [name for name, _ in built.layers if name != "base"]
    return {path: data for name in names for path, data in files(built, name).items()}


def digests(built: Built) -> dict[str, str]:
    return {name: layer.digest for name, layer in built.layers}


def test_layers_lie_in_order_of_change(image: Built) -> None:
    assert [name for name, _ in image.layers] == ["base", "dependencies", "weights", "code"]
    assert set(files(image, "weights")) == {
        f"{TASK}/model/{name}"
        for name in ("manifest.json", "model.onnx", "probe.json", "tokenizer.json")
    }
    assert {path.split("/")[2] for path in files(image, "code")} == {"contracts", "functions"}
    assert {path.split("/")[2] for path in files(image, "dependencies")} == {
        *("package", "requirements.txt", "unused.txt"),
    }


def staged(context: Path) -> dict[str, bytes]:
    """Return the files of a build context as they lie in the image."""
    return {
        f"{TASK}/{path.relative_to(context).as_posix()}": path.read_bytes()
        for path in context.rglob("*")
        if path.is_file() and path.name != "Dockerfile"
    }


def test_an_image_has_every_file_of_the_build_context_and_bytecode_beside_it(
    image: Built, artefact: Path, tmp_path: Path
) -> None:
    made = all_files(image)
    packages = {entry.path for entry in PACKAGES}
    compiled = {path for path in made if path.endswith(".pyc")}
    context = staged(Staging(folder=tmp_path).image(cpu(artefact)))
    assert {path: data for path, data in made.items() if path not in packages | compiled} == context
    sources = {path for path in made if path.endswith(".py")}
    assert {path.replace("__pycache__/", "").split(".")[0] for path in compiled} == {
        path.removesuffix(".py") for path in sources
    }


def test_the_routers_image_has_every_file_of_its_build_context(tmp_path: Path) -> None:
    built = make(router(), tmp_path / "made")
    assert [name for name, _ in built.layers] == ["base", "dependencies", "page", "code"]
    context = staged(Staging(folder=tmp_path).image(router()))
    made = {path: data for path, data in all_files(built).items() if path in context}
    assert made == context


def test_an_image_is_started_as_its_dockerfile_says(image: Built) -> None:
    assert read_layout(image.folder).config["config"] == {
        "Env": [
            "LANG=C.UTF-8",
            "ORT_DISABLE_TELEMETRY=1",
            "OPENBLAS_NUM_THREADS=1",
            "TOKENIZERS_PARALLELISM=false",
            "PYTHONDONTWRITEBYTECODE=1",
            "MALLOC_MMAP_THRESHOLD_=33554432",
            "MALLOC_TOP_PAD_=67108864",
        ],
        "WorkingDir": "/var/task",
        "Entrypoint": ["/usr/bin/python3", "-m", "awslambdaric"],
        "Cmd": ["functions.cpu.handler.handler"],
        "Labels": {"com.amazonaws.lambda.feature.snapstart": "Allow"},
    }


def test_a_change_of_code_makes_one_new_layer_of_less_than_a_megabyte(
    image: Built, artefact: Path, tmp_path: Path
) -> None:
    after = make(changed_code(cpu(artefact)), tmp_path)
    assert {name for name in digests(image) if digests(image)[name] != digests(after)[name]} == {
        "code"
    }
    assert dict(after.layers)["code"].size < 1_000_000
    assert after.digest != image.digest


def test_another_model_shares_all_layers_but_its_weights(image: Built, tmp_path: Path) -> None:
    other = make(cpu(seal(tmp_path / "cpu", vectors())), tmp_path)
    assert {name for name in digests(image) if digests(image)[name] != digests(other)[name]} == {
        "weights"
    }


ELSEWHERE = """
import os, sys, time
os.umask(0o077)
time.time = lambda: 4e9
sys.path.insert(0, sys.argv[1])
import shutil
from pathlib import Path
folder = Path(sys.argv[3])
for path in Path(sys.argv[2]).rglob("*"):
    if path.is_file():
        target = folder / "copied" / path.relative_to(sys.argv[2])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
from tests.images.making import cpu, make
built = make(cpu(folder / "copied"), folder)
print(built.digest, *(layer.diff_id for _, layer in built.layers))
"""


def test_an_image_is_the_same_with_another_umask_folder_and_clock(
    image: Built, artefact: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", ELSEWHERE, str(ROOT), str(artefact), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (tmp_path / "copied/model.onnx").stat().st_mode & 0o777 == 0o600
    assert done.stdout.split() == [image.digest, *(layer.diff_id for _, layer in image.layers)]


def test_an_image_that_lambda_would_refuse_is_not_kept(artefact: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        make(cpu(artefact), tmp_path, base=())
    assert [str(problem) for problem in caught.value.problems] == [
        "it starts /usr/bin/python3, which is no file in it"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]


def test_a_gpu_container_is_not_held_to_lambdas_rules(tmp_path: Path) -> None:
    sealed = seal(tmp_path / "gpu")
    gpu = model_contents("shop-intents-gpu", Tier.GPU, sealed)
    built = make(gpu, tmp_path, base=())
    settings = read_layout(built.folder).config["config"]
    assert settings["Entrypoint"] == ["python", "-m", "functions.gpu"]
    assert settings["WorkingDir"] == "/opt/turnout"
    assert "Cmd" not in settings


def test_what_lies_beside_the_sealed_files_stays_outside(artefact: Path, tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    for path in artefact.iterdir():
        (tmp_path / "cpu" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "cpu/notes.txt").write_text("a row of the user's", "utf-8")
    built = make(cpu(tmp_path / "cpu"), tmp_path)
    assert not any(b"a row of the user's" in data for data in all_files(built).values())


def test_the_manifest_of_the_image_names_its_layers(image: Built) -> None:
    layout = read_layout(image.folder)
    assert [layer["digest"] for layer in layout.manifest["layers"]] == [
        layer.digest for _, layer in image.layers
    ]
    assert image.size == sum(layer["size"] for layer in layout.manifest["layers"])
    comments = [entry["created_by"] for entry in layout.config["history"]]
    assert comments == ["base", "dependencies", "weights", "code"]
    assert json.loads((image.folder / "index.json").read_text())["manifests"][0]["digest"] == (
        image.digest
    )
