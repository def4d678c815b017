"""A model's function starts from a snapshot where its table says so, and is then not kept started as well."""

import json
from dataclasses import replace
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_

from contracts.specs import CpuSpec
from stacks.app import make_app
from tests.fixtures.synthesis import INTENTS, SHOP, build, inputs, read, shop


def snap_started(folder: Path) -> cdk.App:
    """Return an app of one model that starts from a snapshot."""
    build(folder / "models.out")
    cpu = CpuSpec(snap_start=True)
    alone = replace(SHOP, models=(replace(INTENTS, cpu=cpu, gpu=None),))
    return make_app(inputs(folder, alone), outdir=str(folder / "cdk.out"))


def test_a_model_starts_from_a_snapshot_where_its_table_says_so(tmp_path: Path) -> None:
    assert "SnapStart" not in json.dumps(shop().templates)
    snap_started(tmp_path).synth()
    found = read(tmp_path / "cdk.out")
    function = found.only("shop-intents-cpu", "AWS::Lambda::Function")["Properties"]
    assert function["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    # CloudFormation deletes a version that a template no longer has, and its snapshot, which is billed, with it.
    version = found.only("shop-intents-cpu", "AWS::Lambda::Version")
    assert version.get("DeletionPolicy", "Delete") == "Delete"
    router = found.resources("shop-router", "AWS::Lambda::Function").values()
    assert [name for name in router if "SnapStart" in name["Properties"]] == []


def test_a_snapshot_with_provisioned_concurrency_stops_synthesis(tmp_path: Path) -> None:
    app = snap_started(tmp_path)
    alias = app.node.find_child("shop-intents-cpu").node.find_child("Model").node.find_child("Live")
    resource = alias.node.default_child
    assert isinstance(resource, lambda_.CfnAlias)
    resource.provisioned_concurrency_config = (
        lambda_.CfnAlias.ProvisionedConcurrencyConfigurationProperty(
            provisioned_concurrent_executions=1
        )
    )
    with pytest.raises(RuntimeError, match="snap_start or provisioned concurrency, not both"):
        app.synth()
