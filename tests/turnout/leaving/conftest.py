"""A local cloud with what a bootstrap makes, and deployments in it that are made of few things."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from local.cloud import ACCOUNT, Cloud
from tests.fixtures.local_cloud_client import LocalCloudClient
from turnout.cli import app

REGION = "us-east-1"
ASSETS = f"cdk-hnb659fds-container-assets-{ACCOUNT}-{REGION}"
BUCKET = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
ENDPOINT = {"VariantName": "main", "InstanceType": "ml.g6.xlarge", "InitialInstanceCount": 1}


@dataclass(frozen=True, slots=True)
class Account:
    """The local cloud as an account, and the command line of a user of it."""

    aws: LocalCloudClient

    def run(self, *words: str, typed: str = "") -> Result:
        environment = self.aws.cloud.credentials()
        return CliRunner().invoke(app, list(words), input=typed, env=environment)

    def stack(self, name: str, deployment: str, **resources: Any) -> str:
        """Deploy a stack with a deployment's tag, or none; return its status."""
        api = self.aws.client("cloudformation")
        tags = [{"Key": "turnout", "Value": deployment}] if deployment else []
        api.create_change_set(
            StackName=name,
            ChangeSetName="one",
            ChangeSetType="CREATE",
            TemplateBody=json.dumps({"Resources": resources}),
            Tags=tags,
        )
        api.execute_change_set(StackName=name, ChangeSetName="one")
        return self.aws.settled(name)

    def stacks(self) -> set[str]:
        found = self.aws.client("cloudformation").describe_stacks()["Stacks"]
        return {one["StackName"] for one in found}

    def image(self, tag: str, repository: str = ASSETS) -> None:
        digest = hashlib.sha256(tag.encode()).hexdigest()
        kind = "application/vnd.docker"
        config = {
            "mediaType": f"{kind}.container.image.v1+json",
            "size": 1,
            "digest": f"sha256:{digest}",
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{kind}.distribution.manifest.v2+json",
            "config": config,
            "layers": [],
        }
        self.aws.client("ecr").put_image(
            repositoryName=repository, imageTag=tag, imageManifest=json.dumps(manifest)
        )

    def images(self, repository: str = ASSETS) -> set[str]:
        found = self.aws.client("ecr").describe_images(repositoryName=repository)["imageDetails"]
        return {tag for one in found for tag in one["imageTags"]}

    def endpoint(self, name: str, deployment: str) -> None:
        """Make an endpoint with a component, and what they are made of, in no stack."""
        api = self.aws.client("sagemaker")
        tags = [{"Key": "turnout", "Value": deployment}]
        api.create_model(
            ModelName=f"{name}-model",
            ExecutionRoleArn="arn:aws:iam::123456789012:role/r",
            PrimaryContainer={"Image": "none"},
        )
        api.create_endpoint_config(EndpointConfigName=f"{name}-c", ProductionVariants=[ENDPOINT])
        api.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-c", Tags=tags)
        api.create_inference_component(
            InferenceComponentName=name,
            EndpointName=name,
            VariantName="main",
            Specification={
                "ModelName": f"{name}-model",
                "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 1024},
            },
            RuntimeConfig={"CopyCount": 1},
        )

    def endpoints(self) -> set[str]:
        found = self.aws.client("sagemaker").list_endpoints()["Endpoints"]
        return {one["EndpointName"] for one in found}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with Cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        made = Account(LocalCloudClient(cloud))
        made.aws.client("ecr").create_repository(repositoryName=ASSETS)
        made.aws.client("s3").create_bucket(Bucket=BUCKET)
        yield made


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run commands where there is no models.toml and no record of images, unless a test writes them."""
    monkeypatch.chdir(tmp_path)


def table(name: str) -> dict[str, Any]:
    return {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        },
    }


def gpu(name: str, deployment: str) -> dict[str, Any]:
    """Return the resources of a stack with an endpoint."""
    return {
        "Config": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {"ProductionVariants": [ENDPOINT]},
        },
        "Endpoint": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {
                "EndpointName": name,
                "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
                "Tags": [{"Key": "turnout", "Value": deployment}],
            },
        },
    }
