"""Removal of what an inventory lists, in an order that works; a second run goes on where the first one stopped."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TypeVar

from contracts.names import weights_stack
from contracts.weights.pushed import marker_of
from turnout.deployed.clients import Client, Clients, code_of, refusal
from turnout.deployed.endpoints import GpuEndpoint, find_components
from turnout.deployed.files import AssetFile
from turnout.deployed.images import EcrImage
from turnout.deployed.inventory import Inventory
from turnout.deployed.weights import PushedWeights
from turnout.leaving.stacks import StackDeletion, growing
from turnout.progress import Say

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html
IMAGES_A_CALL = 100
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
FILES_A_CALL = 1000
WEIGHTS = weights_stack("")
Item = TypeVar("Item")


@dataclass(slots=True)
class Removal:
    """One run of removals; `problems` has a sentence for each thing that is still there."""

    clients: Clients
    say: Say
    problems: list[str] = field(default_factory=list)

    def run(self, found: Inventory) -> None:
        """Remove what is paid for by the hour first: loose endpoints, stacks, images, files.

        Images and weights stay while a stack is left that may run one of them. The bucket of weights is emptied before
        its own stack, which AWS would not delete otherwise.
        """
        for endpoint in found.loose:
            self._attempt(endpoint.name, partial(self._endpoint, endpoint))
        stacks = StackDeletion(self.clients("cloudformation"), self.say)
        of_weights = [one for one in found.stacks if one.name.endswith(WEIGHTS)]
        others = [one for one in found.stacks if one not in of_weights]
        self._attempt("stacks", partial(stacks.run, others))
        if not stacks.problems:
            for weights in found.weights:
                self._attempt(f"{weights.bucket}/{weights.digest}", partial(self._weights, weights))
            self._attempt("stacks", partial(stacks.run, of_weights))
        self.problems += stacks.problems
        if stacks.problems:
            left = len(found.images) + len(found.files)
            self.problems += [f"{left} images and files were left: stacks may need them"] * bool(
                left
            )
            return
        for repository, images in groupby(found.images, lambda one: one.repository):
            self._attempt(repository, partial(self._images, repository, tuple(images)))
        self._remove_files(found.files)

    def _remove_files(self, found: Sequence[AssetFile]) -> None:
        for bucket, files in groupby(found, lambda one: one.bucket):
            self._attempt(bucket, partial(self._files, bucket, tuple(files)))

    def _attempt(self, name: str, act: Callable[[], None]) -> None:
        """Do one thing; what AWS refuses becomes a problem, and the next thing is done all the same."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            act()
        except (BotoCoreError, ClientError) as error:
            message, step = refusal(error)
            self.problems.append(f"{name}: {message}; {step}")

    def _endpoint(self, endpoint: GpuEndpoint) -> None:
        """Delete an endpoint that no stack has: its components before it, its configuration and models after it."""
        sagemaker = self.clients("sagemaker")
        models = [self._model(sagemaker, one.name) for one in endpoint.components]
        for component in endpoint.components:
            if component.status != "Deleting":
                sagemaker.delete_inference_component(InferenceComponentName=component.name)
        pauses = growing()
        while find_components(sagemaker, endpoint.name):
            next(pauses)
        if endpoint.status != "Deleting":
            sagemaker.delete_endpoint(EndpointName=endpoint.name)
        while _is_there(sagemaker, endpoint.name):
            next(pauses)
        sagemaker.delete_endpoint_config(EndpointConfigName=endpoint.config)
        for model in filter(None, models):
            sagemaker.delete_model(ModelName=model)
        self.say(f"{endpoint.name}: deleted, with its inference components")

    def _model(self, sagemaker: Client, component: str) -> str:
        found = sagemaker.describe_inference_component(InferenceComponentName=component)
        return str(found.get("Specification", {}).get("ModelName", ""))

    def _images(self, repository: str, images: Sequence[EcrImage]) -> None:
        """Remove tags: ECR deletes an image with its last one, and keeps one that another deployment has tagged."""
        ecr, removed = self.clients("ecr"), 0
        for some in in_parts(images, IMAGES_A_CALL):
            answer = ecr.batch_delete_image(
                repositoryName=repository, imageIds=[{"imageTag": one.tag} for one in some]
            )
            refused = [one for one in answer["failures"] if one["failureCode"] != "ImageNotFound"]
            self.problems += [
                f"{repository}:{one['imageId'].get('imageTag')}: {one['failureReason']}"
                for one in refused
            ]
            removed += len(some) - len(refused)
        self.say(f"{repository}: {removed} images deleted")

    def _weights(self, weights: PushedWeights) -> None:
        """Delete weights, their marker first: what is half deleted must not be taken for whole."""
        s3, marker = self.clients("s3"), marker_of(weights.digest)
        for of_marker in (True, False):
            if files := [one for one in weights.files if (one.key == marker) is of_marker]:
                self._files(weights.bucket, files)
        for one in weights.uploads:
            try:
                s3.abort_multipart_upload(Bucket=weights.bucket, Key=one.key, UploadId=one.upload)
            except s3.exceptions.NoSuchUpload:
                continue

    def _files(self, bucket: str, files: Sequence[AssetFile]) -> None:
        s3 = self.clients("s3")
        for some in in_parts(files, FILES_A_CALL):
            keys = [{"Key": one.key, "VersionId": one.version} for one in some]
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
            self.problems += [
                f"{bucket}/{one['Key']}: {one.get('Message') or one['Code']}"
                for one in answer.get("Errors", ())
            ]
        self.say(f"{bucket}: {len(files)} files deleted")


def in_parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield items in their order, at most `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _is_there(sagemaker: Client, endpoint: str) -> bool:
    """Return False once SageMaker knows no such endpoint, for which it has no error code of its own."""
    from botocore.exceptions import ClientError

    try:
        sagemaker.describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if code_of(error) == "ValidationException":
            return False
        raise
    return True
