"""The local cloud and the deployment in it."""

from pathlib import Path

import pytest

from contracts.specs import Deployment


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
