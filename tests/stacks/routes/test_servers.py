"""The server of a GPU tier is the one that is set, or else follows from where its weights are."""

import pytest

from contracts.manifest import PUSHED, Manifest
from contracts.specs import GpuSpec
from contracts.tasks import Server, Task, Tier
from stacks.routes.table import server_of


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
