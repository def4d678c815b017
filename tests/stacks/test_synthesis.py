"""Synthesis: offline, the same each time, checked by cdk-nag, and clear about every problem."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import FileSystem
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from contracts.manifest import MANIFEST
from contracts.specs import CpuSpec, GpuSpec
from images.base import TABLE, read_table, record
from images.staging import Staging, router_contents
from stacks.app import make_app
from stacks.costs.tiers import idle_gpu_cost
from stacks.errors import StackError
from stacks.images import regions
from stacks.instances import PRICES, find_instance, instances
from tests.fixtures.models.tiny import Tiny, seal
from tests.fixtures.paths import ROOT
from tests.fixtures.problems import assert_problems, raises
from tests.fixtures.synthesis import (
    INTENTS,
    SHOP,
    Synthesised,
    build,
    inputs,
    read,
    shop,
    synthesise,
)


@pytest.fixture(scope="module")
def stacks() -> Synthesised:
    return shop()


def images(stacks: Synthesised) -> dict[str, list[str]]:
    """Return the digests of every stack's image assets."""
    return {name: sorted(assets.get("dockerImages", {})) for name, assets in stacks.assets.items()}


def test_every_feature_flag_of_the_cdk_is_decided() -> None:
    """Of those that are not, the command line complains at each synthesis, and a later default would change stacks."""
    (package,) = (Path(cdk.__file__).parent / "_jsii").glob("aws-cdk-lib@*.tgz")
    with tarfile.open(package) as archive:
        file = archive.extractfile("package/recommended-feature-flags.json")
        assert file is not None
        recommended = json.load(file)
    ours = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    assert recommended.keys() - ours.keys() == set()
    assert {flag for flag, value in recommended.items() if ours[flag] != value} == {
        "@aws-cdk/core:target-partitions",
        # Both stacks and resources have our tag, and no metadata about users are collected.
        "@aws-cdk/core:explicitStackTags",
        "@aws-cdk/core:enableAdditionalMetadataCollection",
    }


def test_another_instance_type_is_another_endpoint_that_the_router_may_ask_already(
    stacks: Synthesised, tmp_path: Path
) -> None:
    """CloudFormation then makes the new one first; SageMaker would refuse to update the old one."""
    build(tmp_path / "models.out")
    assert INTENTS.gpu is not None
    moved = replace(INTENTS, gpu=replace(INTENTS.gpu, instance="ml.g5.2xlarge"))
    other = synthesise(
        inputs(tmp_path, replace(SHOP, models=(moved, *SHOP.models[1:]))), tmp_path / "cdk.out"
    )
    for kind in ("Endpoint", "InferenceComponent"):
        found = [
            one.resources("shop-intents-gpu", f"AWS::SageMaker::{kind}") for one in (stacks, other)
        ]
        ((old, was),), ((new, now),) = (resources.items() for resources in found)
        assert old != new
        assert was["Properties"][f"{kind}Name"] != now["Properties"][f"{kind}Name"]
    policies = [one.resources("shop-router", "AWS::IAM::Policy") for one in (stacks, other)]
    assert policies[0] == policies[1]


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("AwsSolutions-S1", lambda stack: s3.Bucket(stack, "Bad")),
        (
            "AwsSolutions-IAM5",
            lambda stack: iam.Policy(
                stack,
                "Bad",
                statements=[iam.PolicyStatement(actions=["s3:*"], resources=["*"])],
                roles=[
                    iam.Role(
                        stack, "BadRole", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")
                    )
                ],
            ),
        ),
    ],
    ids=["an open bucket", "a wildcard"],
)
def test_what_cdk_nag_objects_to_stops_synthesis(tmp_path: Path, rule: str, spoil: object) -> None:
    build(tmp_path / "models.out")
    app = make_app(inputs(tmp_path), outdir=str(tmp_path / "cdk.out"))
    stack = app.node.find_child("shop-words-cpu")
    assert isinstance(stack, cdk.Stack)
    assert callable(spoil)
    spoil(stack)
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    report = json.loads((tmp_path / "cdk.out/validation-report.json").read_text("utf-8"))
    violated = [
        violation["ruleName"]
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
    ]
    assert rule in [name.split("[")[0] for name in violated]


def test_the_same_inputs_give_the_same_templates_and_images(
    stacks: Synthesised, tmp_path: Path
) -> None:
    build(tmp_path / "models.out")
    again = synthesise(inputs(tmp_path), tmp_path / "cdk.out")
    assert again.templates == stacks.templates
    assert images(again) == images(stacks)


def test_another_artefact_changes_its_own_image_and_the_routes(
    stacks: Synthesised, tmp_path: Path
) -> None:
    out = build(tmp_path / "models.out")
    seal(
        out / "intents/cpu", Tiny(model="intents", precision="int8", labels=("no", "yes", "maybe"))
    )
    again = images(synthesise(inputs(tmp_path), tmp_path / "cdk.out"))
    changed = [name for name, found in images(stacks).items() if again[name] != found]
    assert changed == ["shop-intents-cpu", "shop-router"]


def test_another_digest_of_a_base_changes_the_images_on_it_alone(tmp_path: Path) -> None:
    context = Staging(folder=tmp_path / "staging").image(router_contents("x", "{}"))
    before = FileSystem.fingerprint(str(context))
    assert Staging(folder=tmp_path / "staging").image(router_contents("x", "{}")) == context
    assert FileSystem.fingerprint(str(context)) == before

    def with_digest(base: str) -> str:
        """Return the asset hash of the router where the table has another digest of a base."""
        table = tmp_path / f"{base}.json"
        shutil.copyfile(TABLE, table)
        record(base, "sha256:" + "ab" * 32, table)
        staging = Staging(folder=tmp_path / "staging", bases=table)
        return str(FileSystem.fingerprint(str(staging.image(router_contents("x", "{}")))))

    assert with_digest("python-slim") == before
    assert with_digest("aws-lambda") != before
    first = (context / "Dockerfile").read_text("utf-8").splitlines()[1]
    assert first == f"FROM {read_table()['aws-lambda'].image}@sha256:{'ab' * 32}"


def test_the_real_command_line_synthesises_without_network_docker_or_credentials(
    tmp_path: Path,
) -> None:
    (build(tmp_path / "models.out") / "words/cpu/model.onnx").chmod(0o600)
    (tmp_path / "models.toml").write_text(
        '[deployment]\nname = "shop"\nthrottle = { rate = 5, burst = 9 }\n'
        '[models.words]\nsource = "."\ntask = "feature-extraction"\neval = "models.toml"\ncpu = {}\n',
        "utf-8",
    )
    nowhere = "http://127.0.0.1:9"
    done = subprocess.run(
        [
            str(ROOT / "node_modules/.bin/cdk"),
            "synth",
            "--quiet",
            "--output",
            str(tmp_path / "cdk.out"),
        ],
        cwd=ROOT,
        env={
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), str(Path(shutil.which("node") or "").parent)]
            ),
            "HOME": str(tmp_path / "home"),
            "HTTP_PROXY": nowhere,
            "HTTPS_PROXY": nowhere,
            "CDK_DOCKER": str(tmp_path / "no-docker"),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(ROOT / ".turnout/jsii"),
            "TURNOUT_CONFIG": str(tmp_path / "models.toml"),
            "TURNOUT_OUT": str(tmp_path / "models.out"),
            "TURNOUT_KEYS": str(tmp_path / "keys.toml"),
            "TURNOUT_STAGING": str(tmp_path / "staging"),
            "TURNOUT_IMAGES": str(tmp_path / "images.out"),
        },
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
    )
    assert done.returncode == 0, done.stderr
    # Functions read their files as another user.
    copied = [path for asset in (tmp_path / "cdk.out").glob("asset.*") for path in asset.rglob("*")]
    assert len(copied) > 50
    assert [path for path in copied if path.stat().st_mode & 0o444 != 0o444] == []
    assert sorted(read(tmp_path / "cdk.out").templates) == ["shop-router", "shop-words-cpu"]
    assert "note: no key is deployed, so every request is refused" in done.stderr


def test_every_problem_is_reported_at_once_with_the_next_step(tmp_path: Path) -> None:
    out = build(tmp_path / "models.out")
    (out / "words/cpu/model.onnx").write_bytes(b"")
    shutil.rmtree(out / "intents/gpu")
    tampered = (out / "intents/cpu" / MANIFEST).read_text("utf-8").replace("so-so", "great")
    (out / "intents/cpu" / MANIFEST).write_text(tampered, "utf-8")
    invalid = replace(INTENTS, gpu=GpuSpec(instance="ml.m5.large"))
    deployment = replace(SHOP, region="mars-north-1", models=(invalid, *SHOP.models[1:]))
    with pytest.raises(StackError) as caught:
        make_app(inputs(tmp_path, deployment))
    choices = f"choose one of {', '.join(instances())}"
    assert_problems(
        caught.value.problems,
        ("artefact_broken", "", f"{out}/intents/cpu/manifest.json", "build the model again"),
        ("artefact_missing", "intents", "its gpu tier", str(out), "`turnout build`"),
        ("artefact_broken", "", f"{out}/words/cpu/model.onnx", "build the model again"),
        ("setting_invalid", "deployment.region", "mars-north-1", ", ".join(regions())),
        ("instance_unknown", "models.intents.gpu.instance", "ml.m5.large", choices),
    )


@pytest.mark.parametrize(
    ("function", "base"), [("cpu", "aws-lambda"), ("gpu", "python-slim"), ("router", "aws-lambda")]
)
def test_every_dockerfile_starts_from_the_pinned_base_and_ends_by_importing_what_it_runs(
    function: str, base: str
) -> None:
    text = (ROOT / "functions" / function / "Dockerfile").read_text("utf-8")
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == [read_table()[base].image]
    assert re.findall(r'^RUN python -c "from (functions\.\w+)', text, re.MULTILINE) == [
        f"functions.{function}"
    ]
    assert "--require-hashes" in text


def test_every_locked_dependency_has_a_hash() -> None:
    for lock in sorted((ROOT / "functions").glob("*/requirements*.txt")):
        pinned = re.findall(
            r"^[a-z0-9-]+(?:\[[a-z,]+\])?==\S+ \\\n((?:    --hash=sha256:[0-9a-f]{64}.*\n)+)",
            lock.read_text("utf-8"),
            re.MULTILINE,
        )
        assert (
            len(pinned)
            == len(re.findall(r"^[a-z0-9-]+.*==", lock.read_text("utf-8"), re.MULTILINE))
            > 0
        )


def test_an_idle_gpu_costs_its_hours() -> None:
    assert idle_gpu_cost("ml.g6.xlarge") == pytest.approx(1.127 * 730)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", json.loads(PRICES.read_text("utf-8"))["as_of"])
    with raises("instance_unknown", "ml.t2.nano", " ml.g4dn"):
        find_instance("ml.t2.nano")


def test_an_instance_can_hold_what_a_component_asks_for_by_default() -> None:
    memory_mb = GpuSpec(instance="ml.g4dn.xlarge").memory_mb
    assert all(memory_mb < instance.memory_gib * 1024 for instance in instances().values())


def test_a_cpu_tier_alone_is_a_deployment(tmp_path: Path) -> None:
    build(tmp_path / "models.out")
    alone = replace(SHOP, models=(replace(INTENTS, cpu=CpuSpec(), gpu=None),))
    found = synthesise(inputs(tmp_path, alone), tmp_path / "cdk.out")
    assert sorted(found.templates) == ["shop-intents-cpu", "shop-router"]
    assert "sagemaker" not in json.dumps(found.templates).lower()
