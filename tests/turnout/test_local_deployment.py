"""The local cloud and the deployment in it."""

from pathlib import Path

import pytest

from contracts.specs import CpuSpec, Deployment, ModelSpec
from contracts.tasks import Task
from images.errors import ImageError
from tests.fixtures.models.tiny import Tiny, artefact


@pytest.mark.system
def test_functions_and_stacks_are_in_the_region_of_the_deployment(tmp_path: Path) -> None:
    # Imports moto, which takes seconds; runs of other groups do without.
    from turnout.local_deployment import Files, Laptop

    deployment = Deployment(name="shop", region="eu-west-1", models=())
    files = Files(config=tmp_path / "models.toml", out=tmp_path / "models.out")
    laptop = Laptop(deployment, files, state=tmp_path / "local")
    environment = laptop.environment()
    assert environment["CDK_DEFAULT_REGION"] == "eu-west-1"
    assert environment["AWS_REGION"] == "eu-west-1"
    assert laptop.cloud.credentials()["AWS_DEFAULT_REGION"] == "eu-west-1"


@pytest.mark.system
def test_what_the_app_refuses_is_the_end_of_the_message(tmp_path: Path) -> None:
    from turnout.local_deployment import DeployFailed, Files, Laptop

    deployment = Deployment(name="shop", region="eu-west-1", models=())
    files = Files(config=tmp_path / "missing.toml", out=tmp_path / "models.out")
    laptop = Laptop(deployment, files, state=tmp_path / "local")
    laptop.state.mkdir()
    with pytest.raises(DeployFailed) as caught, laptop.synthesising():
        pass
    assert "`cdk synth` ended with 1" in str(caught.value)
    assert str(files.config) in str(caught.value)
    assert "[file_missing]" in str(caught.value)


@pytest.mark.system
def test_images_that_are_missing_are_named_with_the_command_that_makes_them(tmp_path: Path) -> None:
    from turnout.local_deployment import Files, Laptop, MadeImages

    artefact(tmp_path / "models.out/intents/cpu", Tiny(model="intents"))
    model = ModelSpec(
        name="intents",
        source=Path("nowhere"),
        task=Task.TEXT_CLASSIFICATION,
        eval=Path("nowhere"),
        cpu=CpuSpec(),
    )
    files = Files(config=tmp_path / "models.toml", out=tmp_path / "models.out")
    made = MadeImages(folder=tmp_path / "images.out")
    shop = Deployment(name="shop", models=(model,))
    laptop = Laptop(shop, files, state=tmp_path / "local", made=made)
    # What an earlier deployment left would name images that this cloud's registry does not have.
    laptop.images.mkdir(parents=True)
    with pytest.raises(ImageError) as caught:
        laptop.deploy()
    assert [problem.code for problem in caught.value.problems] == ["image_missing"] * 2
    for name in ("shop-router", "shop-intents-cpu"):
        assert f"run `turnout image {name}`" in str(caught.value)
    assert not laptop.images.exists()
