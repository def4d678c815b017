"""Images that were pushed are deployed by their digests, or it is said why they cannot be."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from rich.console import Console

from contracts.keys import key_hash
from contracts.problems import Problem
from contracts.specs import Deployment
from images.base import TABLE
from images.image import Contents, Runtime
from images.made.record import FILE, ImagesRecord, read_record, record_pushed
from images.slimming.pieces import Slimming
from stacks.app import Inputs, image_sources, make_app
from stacks.errors import StackError
from stacks.image_source import BuildContext, PushedImage
from stacks.pushed_images import in_ecr
from stacks.routes.table import read_artefacts
from tests.fixtures.models.tiny import Tiny, artefact
from tests.fixtures.problems import assert_problems
from tests.fixtures.synthesis import KEY, SHOP, Synthesised, build, inputs, synthesise
from tests.images.making import small_runtime, unasked
from turnout.image.making import Wanted, image

NAMES = ("shop-router", "shop-intents-cpu", "shop-intents-gpu", "shop-words-cpu")
HOST = "210987654321.dkr.ecr.us-east-1.amazonaws.com"


def runtime(contents: Contents, base: str, work: Path, blobs: Path, slimming: Slimming) -> Runtime:
    return small_runtime(contents, blobs, base)


def make(folder: Path, *names: str) -> None:
    """Make the images of the deployment that are named, or all."""
    wanted = Wanted(
        deployment=SHOP,
        out=folder / "models.out",
        key_hashes={"ci": key_hash(KEY)},
        names=names,
        base="debian",
    )
    log = Console(file=io.StringIO())
    image(wanted, folder / "images.out", folder / "work", log, runtime, unasked)


def recorded(folder: Path, host: str = HOST) -> ImagesRecord:
    """Record every image that was made as pushed below a prefix of a registry; return the record."""
    images = folder / "images.out"
    made = read_record(images).made
    record_pushed(images, {name: f"{host}/team/{name}@{row.digest}" for name, row in made.items()})
    return read_record(images)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of artefacts and of images of them, all recorded as pushed."""
    folder = tmp_path_factory.mktemp("pushed")
    build(folder / "models.out")
    make(folder)
    recorded(folder)
    return folder


@pytest.fixture(scope="module")
def stacks(pushed: Path) -> Synthesised:
    return synthesise(inputs(pushed), pushed / "cdk.out")


@pytest.fixture
def copy(pushed: Path, tmp_path: Path) -> Path:
    """Return a copy of artefacts and record, to be changed."""
    shutil.copytree(pushed / "models.out", tmp_path / "models.out")
    (tmp_path / "images.out").mkdir()
    shutil.copyfile(pushed / "images.out" / FILE, tmp_path / "images.out" / FILE)
    return tmp_path


def uri(value: Any) -> str:
    """Return the text of a template's value, with the one name that AWS fills in."""
    if isinstance(value, str):
        return value
    (separator, parts) = value["Fn::Join"]
    return str(separator).join(
        part if isinstance(part, str) else {"AWS::URLSuffix": "amazonaws.com"}[part["Ref"]]
        for part in parts
    )


def test_functions_and_containers_run_the_pushed_images_by_their_digests(
    stacks: Synthesised, pushed: Path
) -> None:
    rows = read_record(pushed / "images.out").pushed
    functions = {
        f["Properties"]["FunctionName"]: uri(f["Properties"]["Code"]["ImageUri"])
        for f in stacks.everywhere("AWS::Lambda::Function")
        if "ImageUri" in f["Properties"]["Code"]
    }
    container = stacks.only("shop-intents-gpu", "AWS::SageMaker::Model")["Properties"]
    found = {**functions, "shop-intents-gpu": uri(container["PrimaryContainer"]["Image"])}
    assert found == {name: rows[name].reference for name in NAMES}


def test_nothing_is_left_for_an_engine_to_build(stacks: Synthesised) -> None:
    assert [name for name, assets in stacks.assets.items() if assets.get("dockerImages")] == []


def test_the_repositories_stay_the_users(stacks: Synthesised) -> None:
    kinds = {
        resource["Type"]
        for template in stacks.templates.values()
        for resource in template["Resources"].values()
    }
    assert {kind for kind in kinds if kind.startswith("AWS::ECR")} == set()


def test_the_role_of_a_container_may_pull_from_its_repository_alone(stacks: Synthesised) -> None:
    policy = stacks.only("shop-intents-gpu", "AWS::IAM::Policy")["Properties"]["PolicyDocument"]
    allowed = {
        action: statement["Resource"]
        for statement in policy["Statement"]
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
        if action.startswith("ecr:")
    }
    repository = "arn:aws:ecr:us-east-1:210987654321:repository/team/shop-intents-gpu"
    assert allowed == {
        "ecr:BatchCheckLayerAvailability": repository,
        "ecr:BatchGetImage": repository,
        "ecr:GetDownloadUrlForLayer": repository,
        "ecr:GetAuthorizationToken": "*",
    }


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")],
)
def test_a_repository_is_named_by_the_partition_of_its_region(region: str, partition: str) -> None:
    image = PushedImage(
        account="210987654321", region=region, repository="team/cpu", digest="sha256:0"
    )
    arn = image.find(Stack(App(), "shop")).repository_arn
    assert arn == f"arn:{partition}:ecr:{region}:210987654321:repository/team/cpu"


def sources(folder: Path, given: Inputs | None = None) -> tuple[dict[str, Any], list[Problem]]:
    given = given or inputs(folder)
    artefacts, problems = read_artefacts(given.deployment, given.out)
    assert problems == []
    return image_sources(given, artefacts)


def test_what_was_never_pushed_is_built_by_an_engine(pushed: Path, copy: Path) -> None:
    path = copy / "images.out" / FILE
    document = json.loads(path.read_text("utf-8"))
    del document["pushed"]["shop-words-cpu"]
    path.write_text(json.dumps(document), "utf-8")
    found, problems = sources(copy)
    assert problems == []
    kinds = {name: type(source) for name, source in found.items()}
    assert kinds == {**dict.fromkeys(NAMES, PushedImage), "shop-words-cpu": BuildContext}
    assert sorted(path.name for path in (copy / "staging").iterdir()) == ["shop-words-cpu"]


def another_key(given: Inputs) -> Inputs:
    return replace(given, key_hashes={**given.key_hashes, "new": key_hash("another")})


def another_artefact(given: Inputs) -> Inputs:
    shutil.rmtree(given.out / "intents/cpu")
    artefact(
        given.out / "intents/cpu", Tiny(model="intents", precision="int8", labels=("a", "b", "c"))
    )
    return given


def another_limit(given: Inputs) -> Inputs:
    (intents, *others) = given.deployment.models
    assert intents.cpu is not None
    changed = replace(intents, cpu=replace(intents.cpu, max_inputs=3))
    deployment: Deployment = replace(given.deployment, models=(changed, *others))
    return replace(given, deployment=deployment)


def nothing(given: Inputs) -> Inputs:
    return given


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (nothing, {}),
        (another_key, {"shop-router": "routes and keys"}),
        (another_limit, {"shop-router": "routes and keys"}),
        (another_artefact, {"shop-router": "routes and keys", "shop-intents-cpu": "weights"}),
    ],
    ids=["nothing", "a key", "a limit", "an artefact"],
)
def test_a_change_since_the_push_is_named_with_the_command_that_pushes_it(
    copy: Path, change: Callable[[Inputs], Inputs], stale: dict[str, str]
) -> None:
    _, problems = sources(copy, change(inputs(copy)))
    assert {problem.where: problem.code for problem in problems} == dict.fromkeys(
        stale, "image_stale"
    )
    for problem in problems:
        name = problem.where
        assert f"its {stale[name]} changed since it was pushed;" in problem.message
        assert f"`turnout image --push {HOST}/team --base debian {name}`" in problem.message
        assert str(copy / "images.out" / FILE) in problem.message


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("inputs", {"code": "0" * 64}, "its code changed"),
        ("inputs", {"dependencies": "0" * 64}, "its dependencies changed"),
        ("base_digest", "sha256:" + "0" * 64, "its base (debian) changed"),
    ],
    ids=["code", "lock", "base"],
)
def test_other_code_packages_or_base_than_those_of_the_push_are_named(
    copy: Path, key: str, value: Any, said: str
) -> None:
    path = copy / "images.out" / FILE
    document = json.loads(path.read_text("utf-8"))
    row = document["pushed"]["shop-words-cpu"]
    row[key] = {**row[key], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(document), "utf-8")
    _, problems = sources(copy)
    assert [(problem.where, said in problem.message) for problem in problems] == [
        ("shop-words-cpu", True)
    ]


def test_a_base_whose_digest_is_not_known_here_is_no_change(copy: Path) -> None:
    path = copy / "images.out" / FILE
    assert json.loads(TABLE.read_text("utf-8"))["aws-lambda"]["digest"] == ""
    path.write_text(path.read_text("utf-8").replace('"base": "debian"', '"base": "aws-lambda"'))
    assert sources(copy)[1] == []


def test_synthesis_refuses_images_that_aws_does_not_run_and_names_all(copy: Path) -> None:
    recorded(copy, "ghcr.io")
    with pytest.raises(StackError) as caught:
        make_app(inputs(copy))
    where = "ECR in us-east-1"
    assert_problems(
        caught.value.problems,
        *(("image_elsewhere", name, f"ghcr.io/team/{name}@sha256:", where) for name in NAMES),
    )


@pytest.mark.parametrize(
    ("reference", "account"),
    [
        (f"{HOST}/team/x@sha256:{'0' * 64}", "210987654321"),
        (f"{HOST}/x@sha256:{'0' * 64}", "210987654321"),
        (f"{HOST}/team/x:tag", ""),
        (f"{HOST.replace('us-east-1', 'eu-west-1')}/x@sha256:{'0' * 64}", ""),
        (f"public.ecr.aws/team/x@sha256:{'0' * 64}", ""),
        (f"{HOST}.example.com/x@sha256:{'0' * 64}", ""),
    ],
    ids=["prefix", "no prefix", "a tag", "another region", "a public one", "a name that begins so"],
)
def test_an_image_is_taken_from_ecr_in_the_region_by_its_digest(
    reference: str, account: str
) -> None:
    found = in_ecr(reference, "us-east-1")
    assert (found.account if found else "") == account


def test_a_record_that_is_damaged_is_named(copy: Path) -> None:
    path = copy / "images.out" / FILE
    path.write_text(path.read_text("utf-8")[:-20], "utf-8")
    with pytest.raises(StackError) as caught:
        make_app(inputs(copy))
    assert_problems(caught.value.problems, ("file_damaged", str(path), "remove it"))
