"""The source of a stack's image: an engine that builds it, or the user's repository that it was pushed to."""

from dataclasses import dataclass
from pathlib import Path

from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as assets
from aws_cdk import aws_lambda as lambda_
from aws_cdk.region_info import RegionInfo
from constructs import Construct


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """A folder with a Dockerfile, which the engine that `CDK_DOCKER` names builds and the CDK pushes."""

    folder: Path


def _repository(scope: Construct, account: str, region: str, name: str) -> ecr.IRepository:
    partition = RegionInfo.get(region).partition or "aws"
    arn = f"arn:{partition}:ecr:{region}:{account}:repository/{name}"
    return ecr.Repository.from_repository_attributes(
        scope, "Repository", repository_arn=arn, repository_name=name
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedImage:
    """An image in a repository of ECR. The repository is the user's: a stack refers to it, and does not own it."""

    account: str
    region: str
    repository: str
    digest: str

    def find(self, scope: Construct) -> ecr.IRepository:
        """Return the repository, as something that `cdk destroy` does not know of."""
        return _repository(scope, self.account, self.region, self.repository)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsImage:
    """An image that AWS publishes, in a repository of AWS's own account in each region: by its digest, where known."""

    account: str
    region: str
    repository: str
    tag: str
    digest: str = ""

    def find(self, scope: Construct) -> ecr.IRepository:
        """Return the repository, which is nobody's here."""
        return _repository(scope, self.account, self.region, self.repository)


Source = BuildContext | PushedImage | AwsImage


def function_code(
    scope: Construct, source: Source, command: str | None = None
) -> lambda_.DockerImageCode:
    """Return the code of a function from an image, with a handler of its own if `command` names one.

    Lambda pulls as the service, by the repository's policy. The CDK's own repository has that policy; to the user's
    Lambda adds it, where whoever deploys may read and set it:
    https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#gettingstarted-images-permissions
    """
    cmd = [command] if command else None
    if isinstance(source, PushedImage):
        return lambda_.DockerImageCode.from_ecr(
            source.find(scope), tag_or_digest=source.digest, cmd=cmd
        )
    if isinstance(source, AwsImage):
        raise TypeError("AWS publishes no image of a function of ours")
    # Without a platform, Docker builds for the processor of the laptop.
    return lambda_.DockerImageCode.from_image_asset(
        str(source.folder), platform=assets.Platform.LINUX_AMD64, cmd=cmd
    )


def container_image(scope: Construct, source: Source) -> tuple[ecr.IRepository, str]:
    """Return a container's repository, from which its role has to be allowed to pull, and its image there.

    SageMaker pulls as the model's role:
    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
    """
    if isinstance(source, PushedImage):
        repository = source.find(scope)
        return repository, repository.repository_uri_for_tag_or_digest(source.digest)
    if isinstance(source, AwsImage):
        repository = source.find(scope)
        return repository, repository.repository_uri_for_tag_or_digest(source.digest or source.tag)
    asset = assets.DockerImageAsset(
        scope, "Image", directory=str(source.folder), platform=assets.Platform.LINUX_AMD64
    )
    return asset.repository, asset.image_uri
