"""The parser of tools that vLLM is given, as `models.toml` names it."""

from pathlib import Path

from contracts.models_toml import read_models_toml
from contracts.specs import GpuSpec
from contracts.tasks import Server
from tests.contracts.test_models_toml import written


def test_a_model_that_vllm_serves_names_its_tool_parser(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [models.chat]
        source = "chat"
        task = "text-generation"
        eval = "chat.jsonl"
        gpu = { instance = "ml.g6.xlarge", server = "vllm", tools = "llama3_json" }
        """,
    )
    gpu = read_models_toml(path).models[0].gpu
    assert gpu == GpuSpec(instance="ml.g6.xlarge", server=Server.VLLM, tools="llama3_json")
