"""The image of a model that writes names the handler that streams; every other keeps its own."""

from pathlib import Path

from contracts.tasks import Tier
from images.oci.layout import Settings
from images.staging import model_contents
from tests.fixtures.models.tiny import artefact
from tests.fixtures.models.writers.counting import writer


def test_the_name_of_the_handler_is_all_that_differs(tmp_path: Path) -> None:
    made = {
        "whole": model_contents("a-cpu", Tier.CPU, artefact(tmp_path / "whole")),
        "streams": model_contents("b-cpu", Tier.CPU, writer(tmp_path / "streams")),
    }
    settings = {name: each.settings(Settings()) for name, each in made.items()}
    assert settings["whole"].command == ("functions.cpu.handler.handler",)
    assert settings["streams"].command == ("functions.cpu.streaming.handler",)
    dockerfiles = {name: each.dockerfile.splitlines()[:-1] for name, each in made.items()}
    assert dockerfiles["whole"] == dockerfiles["streams"]
    assert {"functions/cpu/streaming.py", "functions/runtime/loop.py"} <= set(made["streams"].files)


def test_the_container_of_a_gpu_tier_is_the_same_for_all(tmp_path: Path) -> None:
    gpu = model_contents("a-gpu", Tier.GPU, writer(tmp_path / "gpu", tier=Tier.GPU))
    assert "functions.gpu" in gpu.dockerfile
    assert not any(name.startswith("functions/runtime/") for name in gpu.files)
