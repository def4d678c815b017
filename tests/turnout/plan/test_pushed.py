"""The plan of a model that vLLM serves: nothing to build, the memory of its GPUs, and its mark as unproved."""

from pathlib import Path

from rich.console import Console

from contracts.specs import Deployment, GpuSpec, ModelSpec
from contracts.tasks import Server, Task
from tests.fixtures.problems import assert_problems
from tests.fixtures.pushed.model import pushed, saved
from turnout.plan.plan import plan
from turnout.plan.shown import show


def deployment(tmp_path: Path, **changes: object) -> Deployment:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "one"}\n', "utf-8")
    spec = ModelSpec(
        name="chat",
        source=saved(tmp_path / "saved"),
        task=Task.TEXT_GENERATION,
        eval=rows,
        gpu=GpuSpec(instance="ml.g6e.12xlarge", server=Server.VLLM, **changes),  # type: ignore[arg-type]
    )
    return Deployment(models=(spec,))


def test_a_model_that_was_pushed_is_planned_with_its_memory_its_cost_and_its_mark(
    tmp_path: Path,
) -> None:
    of, out = deployment(tmp_path), tmp_path / "out"
    pushed(of.models[0], tmp_path / "saved", out)
    found = plan(of, out, tmp_path / "images")
    (row,) = found.document["tiers"]
    assert (row["source"], row["build"], row["proved"]) == ("weights in S3", "pushed", False)
    assert (row["image"], row["gpu_memory"]) == (None, None)
    assert row["vllm"]["tensor_parallel_size"] == 4
    assert (row["vllm"]["context"], row["vllm"]["dtype"]) == (512, "bfloat16")
    # 13.12 dollars an hour in us-east-1.
    assert row["idle_usd_per_month"] > 13 * 24 * 28
    (stored,) = [one for one in found.document["around"] if one["what"].startswith("weights in S3")]
    assert stored["usd_per_million_requests"] == 0
    assert found.problems == []
    shown = Console(record=True, width=200)
    show(found, shown)
    text = shown.export_text()
    assert "chat gpu: vLLM, on each of 4 L40S weights in bfloat16" in text
    assert "chat gpu is not proved" in text
    assert "chat-gpu  AWS's own container of vLLM" in text
    assert "`turnout verify chat --tier gpu`" in text


def test_a_model_that_was_not_pushed_yet_is_planned_with_the_command(tmp_path: Path) -> None:
    found = plan(deployment(tmp_path), tmp_path / "out", tmp_path / "images")
    (row,) = found.document["tiers"]
    assert row["build"] == "not pushed yet; `turnout push` does it"
    assert (row["vllm"], row["proved"]) == (None, None)


def test_requests_without_room_end_the_plan_with_a_problem(tmp_path: Path) -> None:
    of, out = deployment(tmp_path, requests_per_copy=10**9), tmp_path / "out"
    pushed(of.models[0], tmp_path / "saved", out)
    assert_problems(
        plan(of, out, tmp_path / "images").problems, ("memory_short", "models.chat.gpu", "fit")
    )
