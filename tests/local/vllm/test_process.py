"""The process that stands in for AWS's container of vLLM: which one, and its options."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from local import children
from local.errors import LocalError
from local.vllm.process import GUARDED, is_vllm, process_of
from tests.fixtures.processes import ended


def installed(folder: Path, *names: str) -> tuple[Path, Path]:
    homes = folder / "llamacpp", folder / "vllm"
    for home in homes:
        home.mkdir()
        if home.name in names:
            (home / "ready").touch()
    return homes


@pytest.mark.parametrize(
    ("uri", "known"),
    [
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/vllm:server-sagemaker-cuda-v2.6", True),
        ("public.ecr.aws/deep-learning-containers/vllm@sha256:ab", True),
        ("1.dkr.ecr.us-east-1.amazonaws.com/cdk-assets:vllm", False),
        ("1.dkr.ecr.us-east-1.amazonaws.com/huggingface-vllm:0.29.0", False),
        ("vllm", True),
    ],
)
def test_the_image_is_known_by_its_repository(uri: str, known: bool) -> None:
    assert is_vllm(uri) is known


def test_vllm_itself_comes_before_llama_cpp(tmp_path: Path) -> None:
    homes = installed(tmp_path, "llamacpp", "vllm")
    variables = {
        "SM_VLLM_MAX_MODEL_LEN": "1024",
        "SM_VLLM_DTYPE": "bfloat16",
        "SM_VLLM_SERVED_MODEL_NAME": "chat",
        "SM_VLLM_ENABLE_AUTO_TOOL_CHOICE": "true",
        "SM_VLLM_TENSOR_PARALLEL_SIZE": "4",
        "SM_VLLM_GPU_MEMORY_UTILIZATION": "0.92",
        "HF_HUB_OFFLINE": "1",
    }
    process = process_of(Path("/weights"), 8080, variables, homes)
    _, guarded, *server = process.command
    assert Path(guarded).name == "guarded.py"
    command = " ".join(server)
    assert command.startswith(f"{homes[1]}/bin/python -m vllm.entrypoints.openai.api_server")
    assert "--model /weights --host 127.0.0.1 --port 8080 --max-model-len 1024" in command
    assert (
        " --max-num-seqs 4 --gpu-memory-utilization 0.4 --enforce-eager --dtype bfloat16 "
        in command
    )
    assert command.endswith(" --enable-auto-tool-choice --served-model-name chat")
    assert process.variables["HF_HUB_OFFLINE"] == "1"


def test_what_a_guarded_command_has_started_ends_with_it(tmp_path: Path) -> None:
    starts = "import subprocess, sys, time; child = subprocess.Popen(['sleep', '600']); "
    starts += "open('pid', 'w').write(str(child.pid)); open('there', 'w'); time.sleep(600)"
    with (tmp_path / "log").open("wb") as log:
        process = children.start(
            (sys.executable, str(GUARDED), sys.executable, "-c", starts),
            environment={"PATH": os.environ["PATH"]},
            folder=tmp_path,
            output=log,
        )
    deadline = time.monotonic() + 60
    while not (tmp_path / "there").exists():
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert ended([int((tmp_path / "pid").read_text())])


def test_llama_cpp_gets_no_more_than_a_laptop_has(tmp_path: Path) -> None:
    homes = installed(tmp_path, "llamacpp")
    variables = {"SM_VLLM_MAX_MODEL_LEN": "131072", "SM_VLLM_MAX_NUM_SEQS": "2"}
    process = process_of(Path("/weights"), 8080, variables, homes)
    assert process.command[1:5] == ("-m", "local.vllm", str(homes[0]), "/weights")
    assert " --port 8080 --tokens 8192 --sequences 2 " in " ".join(process.command)


def test_without_either_the_command_is_named_that_makes_one(tmp_path: Path) -> None:
    homes = installed(tmp_path)
    with pytest.raises(LocalError, match="run `make llamacpp`"):
        process_of(Path("/weights"), 8080, {}, homes)
