"""The way out of a deployment in the local cloud: orphans, `cdk destroy`, and `turnout down`."""

import json
import re
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from tests.system.made_images import client, resources
from turnout.cli import app
from turnout.client import Endpoint, predict
from turnout.local_deployment import SIDE_BY_SIDE, Laptop

GPU = re.compile(r"^gpu\s*=.*\n", re.MULTILINE)


def turnout(laptop: Laptop, config: Path, *words: str) -> Result:
    """Run a command against the local cloud, as an environment of AWS has it."""
    options = ["--config", str(config), "--images", str(laptop.images)]
    return CliRunner().invoke(app, [*words, *options], env=laptop.cloud.credentials())


def answer(laptop: Laptop, config: Path, *words: str) -> Any:
    done = turnout(laptop, config, *words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def check_an_orphan_is_deleted(laptop: Laptop, endpoint: Endpoint, model: str) -> None:
    """Check that a GPU tier that leaves models.toml is found, and that it alone is deleted with its image."""
    config = laptop.files.config
    everything = answer(laptop, config, "status")
    gpu = f"{laptop.deployment.name}-{model}-gpu"
    state = {one["stack"]: one for one in everything["stacks"]}
    assert {one["state"] for one in state.values()} == {"CREATE_COMPLETE"}
    assert re.fullmatch("[0-9a-f]{12}", state[gpu]["version"])
    assert state[gpu]["runs"] == "InService, copies 1, instances 1 × ml.g6.xlarge"
    assert everything["url"].startswith("https://")
    assert not any(everything["orphans"].values())

    without = laptop.state / "without-gpu.toml"
    text, dropped = GPU.subn("", config.read_text("utf-8"))
    assert dropped == 1
    without.write_text(text, "utf-8")
    found = answer(laptop, without, "orphans")
    # The states that are shared are those of GPU tiers alone.
    states = f"{laptop.deployment.name}-states"
    assert {one["stack"] for one in found["stacks"]} == {gpu, states}
    assert [one["stack"] for one in found["endpoints"]] == [gpu]
    assert [one["stacks"] for one in found["images"]] == [[gpu]]
    deleted = answer(laptop, without, "orphans", "--delete", "--yes")
    assert deleted["problems"] == []
    assert not any(deleted["left"].values())
    assert {kind: resources(laptop)[kind] for kind in ("endpoints", "components", "models")} == {
        "endpoints": [],
        "components": [],
        "models": [],
    }
    assert not any("sagemaker" in process.name for process in laptop.cloud.processes())
    assert predict(endpoint, model, {"inputs": "hello"}).body["tier"] == "cpu"


def check_nothing_is_left(laptop: Laptop) -> None:
    """Check that `cdk destroy` leaves images and files, and `turnout down` nothing."""
    # From what was synthesised for the deployment: another synthesis takes longer than the rest.
    synthesised = ("--app", str(laptop.state / "cdk.out"))
    laptop.cdk("destroy", "--all", *synthesised, *SIDE_BY_SIDE, "--force")
    assert {kind: found for kind, found in resources(laptop).items() if found} == {}
    assert [p.name for p in laptop.cloud.processes()] == ["local cloud"]
    found = answer(laptop, laptop.files.config, "down", "--yes")
    assert len(found["images"]) == 3
    assert any(file.endswith(".json") for file in found["files"])
    assert found["problems"] == []
    assert not any(found["left"].values())
    ecr = client(laptop, "ecr")
    repositories = [one["repositoryName"] for one in ecr.describe_repositories()["repositories"]]
    left = [ecr.describe_images(repositoryName=name)["imageDetails"] for name in repositories]
    assert left == [[]] * len(repositories)
    again = turnout(laptop, laptop.files.config, "down")
    assert again.exit_code == 0
    assert "is there" in again.stdout
