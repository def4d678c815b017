"""`turnout fit`: what it reads of a model, what it prints, and its end."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from contracts.problems import Code
from stacks.fit.architectures import ARCHITECTURES
from stacks.fit.config import Unsized
from stacks.instances import UnknownInstance, all_instances
from tests.fixtures.models.hub import COMMIT, hub
from tests.fixtures.paths import ROOT
from tests.fixtures.problems import assert_problems
from tests.stacks.fit.test_config import LLAMA
from tests.stacks.fit.test_models import MODELS
from turnout.cli import app
from turnout.fit.source import describe

INDEX = "model.safetensors.index.json"
QWEN, FALCON = (MODELS[name] for name in ("qwen2.5-14b", "falcon-180b"))


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["fit", *map(str, words)])


def answer(*words: object) -> Any:
    return json.loads(run(*words, "--json").stdout)


def folder(path: Path, config: dict[str, Any], **files: Any) -> Path:
    (path / "config.json").write_text(json.dumps(config), "utf-8")
    for name, document in files.items():
        (path / name).write_text(json.dumps(document), "utf-8")
    return path


@pytest.fixture
def qwen(tmp_path: Path) -> Path:
    return folder(
        tmp_path, QWEN["config"], **{INDEX: {"metadata": {"total_size": QWEN["total_size"]}}}
    )


def test_a_folder_is_answered_with_the_cheapest_instance(qwen: Path) -> None:
    done = run(qwen)
    assert done.exit_code == 0
    shown = re.sub(r" +", " ", done.stdout)
    assert "14.77 billion parameters, 48 layers" in shown
    assert "29,540,067,328 bytes in the checkpoint, as config.json has it" in shown
    assert "196,608 bytes a token in float16" in shown
    assert "cheapest: 1 ml.g6e.xlarge at $1,905 a month" in shown
    assert "--tensor-parallel-size 1 --max-model-len 8192 --max-num-seqs 8" in shown
    assert "not measured" not in shown
    assert "nothing here was measured on a GPU" in shown


def test_the_answer_as_json_has_every_instance_type(qwen: Path) -> None:
    found = answer(qwen)
    names = [one["instance"] for one in found["fits"] + found["does_not_fit"]]
    assert sorted(names) == sorted(all_instances())
    assert found["weights"] == {
        "dtype": "float16",
        "checkpoint_bytes": QWEN["total_size"],
        "computed_checkpoint_bytes": QWEN["total_size"],
    }
    assert found["kv_cache"] == {"dtype": "float16", "bytes_per_token": 196_608}
    assert found["wanted"]["context"] == 8192
    cheapest = found["fits"][0]
    memory = cheapest["gpu_bytes"]
    parts = ("weights", "workspace", "reserve", "kv_cache")
    assert memory["budget"] == sum(memory[part] for part in parts)
    assert cheapest["requests_per_copy"] * memory["kv_cache_per_request"] <= memory["kv_cache"]
    assert found["advice"] == []


def test_where_nothing_fits_the_figures_and_the_next_steps_are_shown(tmp_path: Path) -> None:
    words = (
        folder(tmp_path, FALCON["config"]), "--context", 2048,
        "--instance", "ml.g6e.48xlarge", "--instance", "ml.g6.xlarge",
    )  # fmt: skip
    done, found = run(*words), answer(*words)
    assert done.exit_code == 1
    assert "no instance type of the table fits" in done.stdout
    short = {one["instance"]: one["short_bytes"] for one in found["does_not_fit"]}
    assert f"{short['ml.g6e.48xlarge'] / 2**30:.2f} GiB" in done.stdout
    assert [one["options"] for one in found["advice"]] == [
        "--dtype fp8",
        "--dtype fp8 --kv-dtype fp8",
    ]
    assert "with --dtype fp8: 1 ml.g6e.48xlarge" in done.stdout


def test_a_shorter_context_and_fewer_requests_are_advised_where_they_do(qwen: Path) -> None:
    found = answer(qwen, "--instance", "ml.g6e.xlarge", "--context", 131_072, "--concurrency", 1)
    options = [one["options"] for one in found["advice"]]
    assert options == ["--context 65536", "--kv-dtype fp8", "--dtype fp8", "--dtype fp8 --kv-dtype fp8"]  # fmt: skip
    many = answer(qwen, "--instance", "ml.g6e.xlarge", "--concurrency", 1000)
    assert "--concurrency 1" in [one["options"] for one in many["advice"]]
    assert "16 instances run no more than" in many["does_not_fit"][0]["why"]


def test_where_nothing_would_help_it_says_so(tmp_path: Path) -> None:
    done = run(folder(tmp_path, FALCON["config"]), "--instance", "ml.g4dn.xlarge")
    assert "smaller model" in done.stdout


def test_a_checkpoint_that_is_quantized_is_not_advised_to_be(tmp_path: Path) -> None:
    config = folder(tmp_path, MODELS["qwen-7b-gptq"]["config"])
    found = answer(config, "--instance", "ml.g4dn.xlarge", "--concurrency", 500)
    assert not any("--dtype" in one["options"].split() for one in found["advice"])


def test_types_in_eight_bits_are_passed_on_to_vllm(qwen: Path) -> None:
    done = run(qwen, "--dtype", "fp8", "--kv-dtype", "fp8", "--instance", "ml.g6e.xlarge")
    assert "--kv-cache-dtype fp8 --quantization fp8" in done.stdout


def test_a_gpu_that_does_not_run_a_type_is_shown_with_that(qwen: Path) -> None:
    done = run(qwen, "--kv-dtype", "fp8", "--instance", "ml.g4dn.xlarge")
    assert "a T4 has no KV cache in FP8" in done.stdout


def test_sliding_windows_and_a_region_without_prices_are_said(tmp_path: Path) -> None:
    config = folder(tmp_path, MODELS["phi-3-mini-4k"]["config"])
    done = run(config, "--region", "eu-south-2")
    assert "32 layers keep no more than their window" in done.stdout
    assert "since none of eu-south-2 is known" in done.stdout


@pytest.mark.parametrize(
    ("difference", "said"), [(0, "as config.json has it"), (128, "128 more"), (-128, "128 less")]
)
def test_a_checkpoint_of_another_size_than_its_settings_say_is_named(
    tmp_path: Path, difference: int, said: str
) -> None:
    total = {"metadata": {"total_size": QWEN["total_size"] + difference}}
    assert said in run(folder(tmp_path, QWEN["config"], **{INDEX: total})).stdout


@pytest.mark.parametrize(
    ("dtype", "said"),
    [("bfloat16", "bytes by config.json"), (None, "of no type that config.json states")],
)
def test_settings_alone_are_enough(tmp_path: Path, dtype: str | None, said: str) -> None:
    path = folder(tmp_path, {**LLAMA, "torch_dtype": dtype}) / "config.json"
    assert said in run(path).stdout


def test_of_weights_in_a_folder_only_the_header_is_read(tmp_path: Path) -> None:
    header = b'{"a": {}}'
    whole = struct.pack("<Q", len(header)) + header + bytes(1000)
    (folder(tmp_path, LLAMA) / "model.safetensors").write_bytes(whole)
    assert describe(str(tmp_path)).stored == 1000


def test_a_context_beyond_the_models_own_is_refused(tmp_path: Path) -> None:
    done = run(folder(tmp_path, LLAMA), "--context", 1024)
    assert isinstance(done.exception, Unsized)
    assert_problems(done.exception.problems, (Code.LENGTH_INVALID, "--context", "1024", "512"))


def test_an_unknown_instance_type_is_refused(tmp_path: Path) -> None:
    done = run(folder(tmp_path, LLAMA), "--instance", "ml.t2.nano")
    assert isinstance(done.exception, UnknownInstance)
    assert "ml.p5.48xlarge" in str(done.exception)


@pytest.mark.parametrize(
    ("files", "code", "said"),
    [
        ({}, Code.FILE_MISSING, "no config.json"),
        ({"config.json": "{"}, Code.FILE_DAMAGED, "no JSON"),
        ({"config.json": "[]"}, Code.FILE_DAMAGED, "not a JSON object"),
        ({"config.json": "{}", INDEX: "{}"}, Code.FILE_DAMAGED, "total_size"),
        ({"config.json": "{}", INDEX: '{"metadata": {"total_size": "9"}}'}, Code.FILE_DAMAGED, "total_size"),
        ({"config.json": "{}", "model.safetensors": "version https://git-lfs"}, Code.FILE_DAMAGED, "cut short"),
        ({"config.json": "{}", "model.safetensors": "v"}, Code.FILE_DAMAGED, "cut short"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_read_is_named_with_why(
    tmp_path: Path, files: dict[str, str], code: Code, said: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(Unsized) as caught:
        describe(str(tmp_path))
    (found,) = caught.value.problems
    assert found.code == code
    assert said in found.message


@pytest.mark.build
def test_of_a_model_on_a_hub_the_settings_and_the_index_are_read(qwen: Path) -> None:
    (qwen / "model-00001-of-00001.safetensors").write_bytes(bytes(100))
    requested: list[str] = []
    with hub(qwen, requested) as environment:
        found = describe("hf://org/bert@main", environment)
        with pytest.raises(Unsized) as caught:
            describe("hf://org/bert/config.json", environment)
    assert (found.where, found.stored) == (f"hf://org/bert@{COMMIT}", QWEN["total_size"])
    assert not any(path.endswith(".safetensors") for path in requested)
    assert "names one file" in str(caught.value)


def test_the_page_shows_what_the_command_prints(tmp_path: Path) -> None:
    page = (ROOT / "docs/fit.md").read_text("utf-8")
    (command, shown) = re.findall(r"```(?:sh|text)\n(.*?)```", page, re.DOTALL)[:2]
    path = tmp_path / "my-model"
    path.mkdir()
    total = {"metadata": {"total_size": QWEN["total_size"]}}
    folder(path, {**QWEN["config"], "torch_dtype": "bfloat16"}, **{INDEX: total})
    words = command.split()[2:]
    assert words[0] == "my-model"
    done = run(path, *words[1:])
    assert done.stdout.replace(str(path), "my-model").rstrip() == shown.rstrip()


def test_the_page_names_what_was_compared_and_every_architecture() -> None:
    page = (ROOT / "docs/fit.md").read_text("utf-8")
    indexed = [one for one in MODELS.values() if one["total_size"]]
    by_vllm = [one for one in MODELS.values() if "vllm" in one]
    assert f"Weights of {len(indexed)} public checkpoints" in page
    assert f"vLLM 0.32.0's own for {len(by_vllm)} models" in page
    known = page.split("## What it knows")[1]
    assert re.findall(r"`(\w+)`", known.split(".\n")[0]) == list(ARCHITECTURES)
    for option in re.findall(r"`(--[a-z-]+)", page):
        assert option in run("--help").stdout
