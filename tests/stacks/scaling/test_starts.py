"""A tier's wake is the one that was measured, else that of a small model and the download of more weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.manifest import Manifest
from contracts.scaling.copies import START_S, WAKE_S
from contracts.specs import GpuSpec
from contracts.tasks import Task, Tier
from stacks.fit.model import read_model
from stacks.fit.weights import elements
from stacks.scaling.starts import LARGE, LARGE_S, SMALL, wake_of
from stacks.weights.proved import record_path
from stacks.weights.serving import STORED

SLEEPS = GpuSpec(instance="ml.g6.2xlarge", min_instances=0)
AWAKE = replace(SLEEPS, min_instances=1)
QWEN3_8B = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def manifest(stored: int | None) -> Manifest:
    return Manifest(
        model="chat",
        task=Task.TEXT_GENERATION,
        tier=Tier.GPU,
        precision="bfloat16",
        recipe="pushed",
        max_tokens=512,
        details={} if stored is None else {STORED: stored},
        digest="d" * 64,
        toolchain={},
        files=(),
    )


def recorded(out: Path, **changes: Any) -> None:
    path = record_path(out, "chat")
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"holds": True, "digest": "d" * 64, "date": "2026-11-20", "instance": SLEEPS.instance}
    path.write_text(json.dumps({**record, "woke_s": 700.0, **changes}), "utf-8")


def test_the_weights_that_the_rate_was_measured_with_are_those_of_the_model() -> None:
    assert LARGE == 2 * elements(read_model(QWEN3_8B).shape)


@pytest.mark.parametrize("stored", [None, SMALL, SMALL - 1])
def test_a_small_model_takes_what_was_measured_by_others(tmp_path: Path, stored: int) -> None:
    found = wake_of(SLEEPS, manifest(stored), tmp_path)
    assert (found.seconds, found.start_s) == (WAKE_S + START_S, START_S)
    assert found.of == "assumed: measured by others with Qwen3-0.6B on AWS's container of vLLM"
    assert wake_of(SLEEPS, None, tmp_path) == found


def test_more_weights_take_longer_to_come(tmp_path: Path) -> None:
    found = wake_of(SLEEPS, manifest(LARGE), tmp_path)
    assert found.start_s == pytest.approx(START_S + LARGE_S * (1 - SMALL / LARGE))
    assert "70 s for the weights beyond its, at 0.21 GB/s" in found.of
    assert wake_of(AWAKE, manifest(LARGE), tmp_path).seconds == found.start_s


def test_a_wake_that_was_measured_counts(tmp_path: Path) -> None:
    recorded(tmp_path)
    found = wake_of(SLEEPS, manifest(LARGE), tmp_path)
    assert (found.seconds, found.start_s) == (700.0, 700.0 - WAKE_S)
    assert found.of == "as `turnout verify` measured it on 2026-11-20"
    assert wake_of(AWAKE, manifest(LARGE), tmp_path).seconds == 700.0 - WAKE_S


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "e" * 64},
        {"instance": "ml.p5.48xlarge"},
        {"woke_s": None},
        {"woke_s": WAKE_S},
    ],
    ids=["other weights", "another instance", "was awake", "was waking"],
)
def test_a_record_of_another_wake_counts_for_nothing(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    assumed = wake_of(SLEEPS, manifest(LARGE), tmp_path)
    recorded(tmp_path, **changes)
    assert wake_of(SLEEPS, manifest(LARGE), tmp_path) == assumed
