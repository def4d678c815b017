"""`turnout plan` says what a model that writes takes of its tier's GPU, where its settings are on this machine."""

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.specs import GpuSpec, ModelSpec
from contracts.tasks import Task
from stacks.fit.memory import GIB
from stacks.instances import gpus
from tests.stacks.fit.test_config import LLAMA
from tests.stacks.fit.test_models import MODELS
from turnout.plan.gpu_memory import GpuMemory, gpu_memory, shown_memory


def found(
    folder: Path,
    config: Any,
    *,
    task: Task = Task.TEXT_GENERATION,
    instance: str = "ml.g5.xlarge",
    max_tokens: int | None = None,
    source: Path | str | None = None,
) -> GpuMemory | None:
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    gpu = GpuSpec(instance=instance, max_tokens=max_tokens, source=source)
    spec = ModelSpec(name="writer", source=folder, task=task, eval=folder / "rows.jsonl", gpu=gpu)
    return gpu_memory(spec, gpu, folder / "out")


def test_weights_and_cache_are_those_of_float32(tmp_path: Path) -> None:
    memory = found(tmp_path, LLAMA)
    assert memory
    # Embedding and head, 2 layers of 64 x 64 and 64 x 128 matrices, their norms and the last one.
    elements = 2 * 1000 * 64 + 2 * (64 * (64 + 64 + 32 + 32 + 3 * 128) + 2 * 64) + 64
    # 2 layers of 2 heads of keys and values, 16 wide.
    cache = 512 * 4 * 2 * 2 * 2 * 16
    assert memory.to_json() == {
        "gpu": "A10G",
        "context": 512,
        "weights_bytes": 4 * elements,
        "kv_cache_bytes": cache,
        "gpu_bytes": int(gpus()["A10G"].memory_gib * GIB),
        "too_much_bytes": 0,
    }
    shown = shown_memory(memory)
    assert shown.startswith(
        "writer gpu: weights in float32 0.00 GiB, KV cache of one request of 512 tokens"
    )
    assert shown.endswith("of the 22.06 GiB of its A10G")


def test_a_tier_that_reads_fewer_tokens_caches_no_more(tmp_path: Path) -> None:
    whole, part = found(tmp_path, LLAMA), found(tmp_path, LLAMA, max_tokens=128)
    assert whole
    assert part
    assert (part.context, part.kv_cache) == (128, whole.kv_cache // 4)


def test_what_is_too_much_for_the_gpu_is_said_with_how_much(tmp_path: Path) -> None:
    memory = found(tmp_path, MODELS["qwen2.5-14b"]["config"], max_tokens=1024)
    assert memory
    assert memory.too_much == memory.weights + memory.kv_cache - memory.gpu_bytes > 0
    over = f"too much for its ml.g5.xlarge by {memory.too_much / GIB:.2f} GiB"
    assert f"[bold yellow]writer gpu: {over}[/]: weights in float32 55.02 GiB" in shown_memory(
        memory
    )


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (LLAMA, {"task": Task.TEXT_CLASSIFICATION}),
        ({**LLAMA, "architectures": ["T5ForConditionalGeneration"]}, {}),
        (LLAMA, {"source": "hf://org/not-here"}),
        (LLAMA, {"source": Path("not-here.gguf")}),
    ],
    ids=["another task", "an unknown architecture", "not downloaded", "no folder"],
)  # fmt: skip
def test_nothing_is_said_of_other_models(
    tmp_path: Path, config: Any, options: dict[str, Any]
) -> None:
    assert found(tmp_path, config, **options) is None
