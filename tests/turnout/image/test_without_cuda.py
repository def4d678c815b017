"""`turnout image --without-cuda` makes the containers of GPU tiers for machines that have none, and nothing else."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from contracts.specs import Deployment
from images.errors import ImageError
from images.image import Contents, Runtime
from images.made.record import read_record
from images.oci.reading import read_layout
from images.slimming.pieces import Slimming
from tests.images.making import small_runtime, unasked
from tests.turnout.image.test_making import WORDS, runtime, wanted
from turnout.cli import app
from turnout.image.making import Wanted, image


def test_gpu_containers_without_cuda_lie_beside_the_images_that_are_deployed(
    out: Path, tmp_path: Path
) -> None:
    log, images = Console(file=io.StringIO()), tmp_path / "images"
    locks = []

    def recorded(
        contents: Contents, base: str, work: Path, blobs: Path, slimming: Slimming
    ) -> Runtime:
        locks.append(contents.lock)
        return small_runtime(contents, blobs, base)

    places = (images, tmp_path / "work", log, recorded, unasked)
    image(wanted(out, "shop-intents-gpu"), *places)
    before = read_record(images)
    [made] = image(wanted(out, cuda=False), *places)
    assert made["image"] == "shop-intents-gpu-without-cuda"
    assert [lock.name for lock in locks] == ["requirements.txt", "requirements-cpu.txt"]
    of = [read_layout(images / name) for name in ("shop-intents-gpu", made["image"])]
    environments = [set(layout.config["config"]["Env"]) for layout in of]
    assert environments[1] - environments[0] == {"TURNOUT_DEVICE=cpu"}
    assert of[0].config["config"]["Entrypoint"] == of[1].config["config"]["Entrypoint"]
    # Nothing deploys it, and `turnout plan` does not take its size for the other's.
    assert read_record(images) == before


def test_without_cuda_there_are_images_of_gpu_tiers_alone(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = (tmp_path / "images", tmp_path / "work", Console(), runtime, unasked)
    with pytest.raises(ImageError, match="there are shop-intents-gpu") as caught:
        image(wanted(out, "shop-words-cpu", cuda=False), *places)
    assert [problem.code for problem in caught.value.problems] == ["model_unknown"]
    without = Deployment(name="shop", models=(WORDS,))
    with pytest.raises(ImageError, match="shop: has no GPU tier; give a model one"):
        image(Wanted(deployment=without, out=out, key_hashes={}, cuda=False), *places)
    assert not (tmp_path / "images").exists()
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["image", "--without-cuda", "--push", "localhost:5000/team"])
    assert done.exit_code == 2
    assert "leave out --without-cuda, or --push" in " ".join(done.output.split())
