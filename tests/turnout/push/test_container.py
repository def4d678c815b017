"""The container of vLLM is sealed by the digest that its tag has at the push, as far as AWS says it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from contracts.manifest import Manifest
from contracts.specs import Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task, Tier
from stacks.app import vllm_image
from stacks.image_source import AwsImage
from stacks.images import llm_cuda, llm_image
from stacks.routes.servers import read_servings
from stacks.weights.container import Container, container_of
from tests.fixtures.problems import assert_problems
from tests.fixtures.pushed.model import pushed, saved
from turnout.doctor.container import container_findings
from turnout.doctor.finding import Level
from turnout.push.container import MANIFESTS, container_in
from turnout.push.sealing import read_size, seal
from turnout.push.tree import Folder, read_weights

REGION = "us-east-1"
IMAGE = llm_image(REGION)
DIGEST, OTHER = f"sha256:{'d' * 64}", f"sha256:{'e' * 64}"
ASKED = {
    "registryId": "763104351884",
    "repositoryName": "vllm",
    "imageIds": [{"imageTag": IMAGE.tag}],
    "acceptedMediaTypes": list(MANIFESTS),
}
SEALED = Container(region=REGION, tag=IMAGE.tag, digest=DIGEST)
Answer = Callable[[Stubber], Any]


def ecr(answer: Answer) -> Any:
    """Return a client of ECR that answers one call, which has to be the one that a pull makes."""
    client = boto3.client(
        "ecr", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
    )
    stub = Stubber(client)
    answer(stub)
    stub.activate()
    return client


def has(digest: str) -> Answer:
    found = {"images": [{"imageId": {"imageDigest": digest, "imageTag": IMAGE.tag}}]}
    return lambda stub: stub.add_response("batch_get_image", {**found, "failures": []}, ASKED)


def lacks(stub: Stubber) -> None:
    failure = {"failureCode": "ImageNotFound", "failureReason": "Requested image not found"}
    stub.add_response("batch_get_image", {"images": [], "failures": [failure]}, ASKED)


def denied(stub: Stubber) -> None:
    stub.add_client_error("batch_get_image", "AccessDeniedException", "not authorized")


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return ModelSpec(
        name="chat",
        source=saved(tmp_path / "saved"),
        task=Task.TEXT_GENERATION,
        eval=tmp_path / "rows.jsonl",
        gpu=GpuSpec(instance="ml.g6.xlarge"),
    )


def nobody(service: str) -> Any:
    raise AssertionError(f"{service} is asked")


def sealed(spec: ModelSpec, out: Path, container: Container | None) -> Manifest:
    assert isinstance(spec.source, Path)
    tree = Folder(spec.source)
    weights = read_weights(tree, lambda path, size: None)
    return seal(spec, tree, weights, read_size(tree, weights), out, container)


def test_the_tag_is_resolved_as_a_pull_resolves_it() -> None:
    assert container_in(REGION, ecr(has(DIGEST))) == (SEALED, "")


@pytest.mark.parametrize(
    ("answer", "said"), [(lacks, "image not found"), (denied, "not authorized")]
)
def test_where_aws_does_not_say_the_digest_the_reason_is_kept(answer: Answer, said: str) -> None:
    container, why = container_in(REGION, ecr(answer))
    assert container == replace(SEALED, digest="")
    assert said in why


def test_a_deployment_runs_the_very_image_that_was_pushed_for(
    spec: ModelSpec, tmp_path: Path
) -> None:
    manifest = sealed(spec, tmp_path / "out", SEALED)
    assert container_of(manifest) == SEALED
    image = vllm_image(Deployment(models=(spec,)), manifest)
    assert isinstance(image, AwsImage)
    assert (image.repository, image.digest) == ("vllm", DIGEST)
    # Another image of the tag is another release, which is unproved.
    other = sealed(spec, tmp_path / "out", replace(SEALED, digest=OTHER))
    assert other.digest != manifest.digest
    assert other.pushed == manifest.pushed


def test_an_artefact_of_before_runs_the_tag(spec: ModelSpec, tmp_path: Path) -> None:
    manifest = pushed(spec, tmp_path / "saved", tmp_path / "out")
    image = vllm_image(Deployment(models=(spec,)), manifest)
    assert isinstance(image, AwsImage)
    assert (image.tag, image.digest) == (IMAGE.tag, "")


@pytest.mark.parametrize(
    "container",
    [replace(SEALED, region="eu-west-1"), replace(SEALED, tag="server-sagemaker-cuda-v1.0")],
)
def test_another_container_than_would_run_has_to_be_pushed_for(
    spec: ModelSpec, tmp_path: Path, container: Container
) -> None:
    manifest = sealed(spec, tmp_path / "out", container)
    of = Deployment(models=(spec,), region=REGION)
    servings, problems = read_servings(of, tmp_path / "out", {("chat", Tier.GPU): manifest})
    assert servings == {}
    assert_problems(problems, ("artefact_outdated", "models.chat.gpu", "`turnout push chat`"))


@pytest.mark.parametrize("of", [f":{IMAGE.tag}", f"@{DIGEST}"])
@pytest.mark.parametrize("region", [REGION, "eu-west-3"])
def test_the_cuda_of_the_container_is_known_by_tag_and_by_digest(region: str, of: str) -> None:
    place = f"{llm_image(region).account}.dkr.ecr.{region}.amazonaws.com"
    assert llm_cuda(f"{place}/vllm{of}") == 13
    assert llm_cuda(f"{place}/another{of}") == 0
    assert llm_cuda(f"123456789012.dkr.ecr.{region}.amazonaws.com/vllm{of}") == 0
    assert llm_cuda(f"{place}/vllm:another-tag") == 0


def finding(
    spec: ModelSpec, out: Path, container: Container | None, answer: Answer
) -> tuple[Level, str, str]:
    sealed(spec, out, container)
    clients = {"ecr": ecr(answer)}
    of = Deployment(models=(spec,), region=REGION)
    (found,) = container_findings(of, out, clients.__getitem__)
    assert found.about == "chat's container"
    return found.level, found.message, found.next_step


def test_the_doctor_looks_whether_the_tag_has_another_image(
    spec: ModelSpec, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert finding(spec, out, SEALED, has(DIGEST))[0] is Level.HOLDS
    level, message, step = finding(spec, out, SEALED, has(OTHER))
    assert (level, OTHER in message, DIGEST in message) == (Level.NOTE, True, True)
    assert step.startswith("turnout push chat takes the new one")
    assert finding(spec, out, SEALED, denied)[0] is Level.UNKNOWN
    for unknown in (None, replace(SEALED, digest="")):
        level, message, step = finding(spec, out, unknown, has(DIGEST))
        assert (level, step) == (Level.WARNS, "turnout push chat")
        assert "by its tag alone" in message


def test_the_doctor_asks_nothing_where_nothing_was_pushed(spec: ModelSpec, tmp_path: Path) -> None:
    of = Deployment(models=(spec,), region=REGION)
    assert container_findings(of, tmp_path / "out", nobody) == []
