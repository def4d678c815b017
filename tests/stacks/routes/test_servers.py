"""The server of a GPU tier is the one that is set, or else follows from where its weights are."""

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.manifest import PUSHED, Manifest
from contracts.specs import Deployment, GpuSpec, ModelSpec
from contracts.tasks import Server, Task, Tier
from stacks.routes.servers import server_of
from stacks.routes.table import make_routes, read_artefacts
from tests.fixtures.models.tiny import Tiny, artefact
from tests.fixtures.problems import assert_problems
from tests.fixtures.pushed.model import pushed, saved


@pytest.mark.parametrize(
    ("setting", "pushed", "server"),
    [
        (Server.AUTO, "", Server.TURNOUT),
        (Server.AUTO, "a" * 64, Server.VLLM),
        (Server.TURNOUT, "", Server.TURNOUT),
        (Server.VLLM, "a" * 64, Server.VLLM),
    ],
)
def test_pushed_weights_are_served_by_vllm_and_all_others_by_our_server(
    setting: Server, pushed: str, server: Server
) -> None:
    manifest = Manifest(
        model="chat",
        task=Task.TEXT_GENERATION,
        tier=Tier.GPU,
        precision="bf16",
        recipe="pushed",
        max_tokens=2048,
        details={PUSHED: pushed} if pushed else {},
        toolchain={},
    )
    assert server_of(GpuSpec(instance="ml.g6.xlarge", server=setting), manifest) is server


SPEC = ModelSpec(
    name="chat",
    source=Path("nowhere"),
    task=Task.TEXT_GENERATION,
    eval=Path("nowhere"),
    gpu=GpuSpec(instance="ml.g6e.12xlarge", server=Server.VLLM),
)


def of(**changes: object) -> Deployment:
    """Return a deployment of the model with other settings of its GPU tier."""
    assert SPEC.gpu is not None
    return Deployment(models=(replace(SPEC, gpu=replace(SPEC.gpu, **changes)),))  # type: ignore[arg-type]


def test_pushed_weights_are_served_by_all_gpus_of_the_instance_within_the_set_length(
    tmp_path: Path,
) -> None:
    manifest = pushed(SPEC, saved(tmp_path / "saved"), tmp_path / "out")
    found, problems = read_artefacts(of(max_tokens=128), tmp_path / "out")
    assert problems == []
    assert found.servings["chat"].environment == {
        "SM_VLLM_MODEL": "/opt/ml/model",
        "SM_VLLM_SERVED_MODEL_NAME": "chat",
        "SM_VLLM_MAX_MODEL_LEN": "128",
        "SM_VLLM_TENSOR_PARALLEL_SIZE": "4",
        "SM_VLLM_DTYPE": "bfloat16",
        "SM_VLLM_GPU_MEMORY_UTILIZATION": "0.92",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    target = make_routes(of(max_tokens=128), found, {}, tmp_path / "out").models["chat"].targets
    assert (target[Tier.GPU].server, target[Tier.GPU].max_tokens) == (Server.VLLM, 128)
    assert target[Tier.GPU].version == manifest.version
    longest = make_routes(of(), found, {}, tmp_path / "out").models["chat"].targets[Tier.GPU]
    assert longest.max_tokens == 512


def test_vllm_is_told_how_the_model_calls_tools(tmp_path: Path) -> None:
    pushed(SPEC, saved(tmp_path / "saved"), tmp_path / "out")
    found, problems = read_artefacts(of(max_tokens=128, tools="hermes"), tmp_path / "out")
    told = found.servings["chat"].environment
    assert (problems, told["SM_VLLM_ENABLE_AUTO_TOOL_CHOICE"]) == ([], "true")
    assert told["SM_VLLM_TOOL_CALL_PARSER"] == "hermes"


def test_a_model_for_vllm_that_was_not_pushed_names_the_command(tmp_path: Path) -> None:
    _, problems = read_artefacts(of(), tmp_path)
    assert_problems(problems, ("weights_not_pushed", "chat", "`turnout push chat`"))


@pytest.mark.parametrize(
    ("server", "command"),
    [(Server.TURNOUT, "turnout build chat"), (Server.VLLM, "turnout push chat")],
)
def test_an_artefact_for_the_other_server_names_the_command(
    tmp_path: Path, server: Server, command: str
) -> None:
    if server is Server.TURNOUT:
        pushed(SPEC, saved(tmp_path / "saved"), tmp_path / "out")
    else:
        artefact(tmp_path / "out/chat/gpu", Tiny(model="chat", tier=Tier.GPU))
    _, problems = read_artefacts(of(server=server, instance="ml.g6.xlarge"), tmp_path / "out")
    assert_problems(
        problems, ("weights_not_pushed", "models.chat.gpu.server", str(server), f"`{command}`")
    )


def test_our_own_server_has_no_use_of_four_gpus(tmp_path: Path) -> None:
    artefact(tmp_path / "out/chat/gpu", Tiny(model="chat", tier=Tier.GPU))
    _, problems = read_artefacts(of(server=Server.AUTO), tmp_path / "out")
    where = "models.chat.gpu.instance"
    assert_problems(problems, ("instance_unknown", where, "one GPU", "`turnout push chat`"))


def test_requests_that_have_no_room_are_refused_before_they_are_paid_for(tmp_path: Path) -> None:
    pushed(SPEC, saved(tmp_path / "saved"), tmp_path / "out")
    # One request's cache is small: the logits of so many sequences leave no room.
    _, problems = read_artefacts(of(requests_per_copy=10**9), tmp_path / "out")
    where = "models.chat.gpu"
    assert_problems(problems, ("memory_short", where, "requests_per_copy", "`turnout fit`"))
