"""Of an artefact whose weights lie in S3 every byte is checked here, and nothing is run."""

from pathlib import Path

from rich.console import Console

from contracts.specs import GpuSpec, ModelSpec
from contracts.tasks import Task
from tests.fixtures.pushed.model import pushed, saved
from turnout.verify.verifying import verify


def test_the_list_of_pushed_weights_is_checked_and_not_run(tmp_path: Path) -> None:
    spec = ModelSpec(
        name="chat",
        source=tmp_path,
        task=Task.TEXT_GENERATION,
        eval=tmp_path,
        gpu=GpuSpec(instance="ml.g6.xlarge"),
    )
    out = tmp_path / "out"
    manifest = pushed(spec, saved(tmp_path / "saved"), out)
    found = verify(out, None, Console(quiet=True))
    (one,) = found["artefacts"]
    assert (found["holds"], one["name"], one["version"]) == (True, "chat gpu", manifest.version)
    (out / "chat/gpu/weights.json").write_text("{}", "utf-8")
    found = verify(out, None, Console(quiet=True))
    assert found["holds"] is False
    assert "weights.json" in found["artefacts"][0]["broken"]
