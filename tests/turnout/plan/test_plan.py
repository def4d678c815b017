"""`turnout plan` says what a GPU costs while nobody calls it, where and when that was its price, and its quota."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stacks.costs.tiers import idle_gpu_cost
from stacks.instances import PRICES
from tests.fixtures.models.tiny_bert import classifier, write_rows
from tests.fixtures.models.tiny_decoders import llama
from turnout.cli import app

pytestmark = pytest.mark.build
TEXT = """
[deployment]
region = "eu-west-1"

[models.intents]
source = "model"
task = "text-classification"
eval = "rows.jsonl"
cpu = {}
gpu = { instance = "ml.g5.2xlarge" }
"""


def test_the_cost_of_a_gpu_is_said_with_the_region_and_date_of_its_price(tmp_path: Path) -> None:
    classifier(tmp_path / "model")
    write_rows(tmp_path / "rows.jsonl", [{"text": "a", "label": "good"}])
    (tmp_path / "models.toml").write_text(TEXT, "utf-8")
    config = ["--config", str(tmp_path / "models.toml"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["plan", *config])
    prices = json.loads(PRICES.read_text("utf-8"))
    cost = f"${idle_gpu_cost('ml.g5.2xlarge'):,.0f} a month"
    assert done.exit_code == 0, done.output
    for said in (cost, f"us-east-1 price of {prices['as_of']}", "quota of 2 for ml.g5.2xlarge"):
        assert said in done.stdout
    document = json.loads(CliRunner().invoke(app, ["plan", "--json", *config]).stdout)
    hour = document["prices"]["ml.g5.2xlarge"]
    assert (hour["region"], hour["as_of"]) == ("us-east-1", prices["as_of"])
    assert hour["usd"] * 730 == pytest.approx(idle_gpu_cost("ml.g5.2xlarge"))
    for row in document["tiers"]:
        assert row["costs"]["latency_missing"] == "not built"
    # Nothing is built, so nothing was measured, and nothing is compared.
    assert document["break_even"] == []


def test_the_memory_of_a_tier_that_writes_is_said_beside_its_cost(tmp_path: Path) -> None:
    llama(tmp_path / "model")
    write_rows(tmp_path / "rows.jsonl", [{"text": "a"}])
    text = TEXT.replace("text-classification", "text-generation")
    (tmp_path / "models.toml").write_text(text, "utf-8")
    config = ["--config", str(tmp_path / "models.toml"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["plan", *config])
    assert done.exit_code == 0, done.output
    assert "intents gpu: weights in float32" in done.stdout
    assert "of the 22.06 GiB of its A10G" in done.stdout
    document = json.loads(CliRunner().invoke(app, ["plan", "--json", *config]).stdout)
    cpu, gpu = document["tiers"]
    assert cpu["gpu_memory"] is None
    assert gpu["gpu_memory"]["gpu"] == "A10G"
