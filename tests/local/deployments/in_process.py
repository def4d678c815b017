"""Deployments as the CDK's command line makes them, in this process: stacks in order, and none after one that fails.

A synthesis takes a second in a process that has made one, and many times that in the command line's own.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from local.docker import COMMANDS, record
from tests.fixtures.local_cloud_client import LocalCloudClient

Json = dict[str, Any]
BOOTSTRAP = "cdk-hnb659fds"


class StackFailed(Exception):
    """A stack that did not come to its new state, with CloudFormation's reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A folder that was synthesised: stacks by their names, with the names of those before them."""

    folder: Path
    stacks: Mapping[str, Json]
    before: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, folder: Path) -> "Assembly":
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        stacks = {
            name: artifact
            for name, artifact in manifest["artifacts"].items()
            if artifact["type"] == "aws:cloudformation:stack"
        }
        before = {
            name: [other for other in stack.get("dependencies", ()) if other in stacks]
            for name, stack in stacks.items()
        }
        return cls(folder=folder, stacks=stacks, before=before)

    def in_order(self) -> list[str]:
        return list(TopologicalSorter(self.before).static_order())

    def template(self, stack: str) -> str:
        file: str = self.stacks[stack]["properties"]["templateFile"]
        return (self.folder / file).read_text("utf-8")

    def tags(self, stack: str) -> list[dict[str, str]]:
        """Return the tags of a stack as CloudFormation takes them."""
        tags = self.stacks[stack]["properties"].get("tags", {})
        return [{"Key": key, "Value": value} for key, value in tags.items()]

    def assets(self, stack: str) -> Json:
        found: Json = json.loads((self.folder / f"{stack}.assets.json").read_text("utf-8"))
        return found


@dataclass(slots=True, kw_only=True)
class InProcess:
    """The command line's part, over a client of one cloud that it has bootstrapped."""

    client: LocalCloudClient
    deployed: dict[str, str] = field(default_factory=dict)

    def bootstrap(self) -> None:
        """Create what `cdk bootstrap` does and our stacks use."""
        cloud = self.client.cloud
        place = f"{cloud.access.account}-{cloud.region}"
        self.client.client("s3").create_bucket(Bucket=f"{BOOTSTRAP}-assets-{place}")
        self.client.client("ecr").create_repository(
            repositoryName=f"{BOOTSTRAP}-container-assets-{place}"
        )
        self.client.client("ssm").put_parameter(
            Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String"
        )

    def deploy(self, assembly: Assembly) -> list[str]:
        """Deploy each stack whose template has changed, and return their names; raise StackFailed at the first."""
        changed = []
        for stack in assembly.in_order():
            if self.deploy_stack(assembly, stack):
                changed.append(stack)
        return changed

    def deploy_stack(self, assembly: Assembly, stack: str, template: str = "") -> bool:
        """Publish a stack's assets and bring it to its template, or to another; return false if it has that one."""
        template = template or assembly.template(stack)
        if self.deployed.get(stack) == template:
            return False
        self._publish(assembly, stack)
        # What fails is rolled back, so that its next deployment is a change in any case.
        self.deployed.pop(stack, None)
        status = self._execute(stack, template, assembly.tags(stack))
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise StackFailed(f"{stack} is {status}: {self.reason(stack)}")
        self.deployed[stack] = template
        return True

    def destroy(self, stack: str) -> None:
        """Delete a stack, as `cdk destroy` does; raise StackFailed."""
        self.deployed.pop(stack, None)
        if (status := self.client.delete(stack)) != "DELETE_COMPLETE":
            raise StackFailed(f"{stack} is {status}: {self.reason(stack)}")

    def reason(self, stack: str) -> str:
        """Return CloudFormation's reason for the state of a stack."""
        api = self.client.client("cloudformation")
        found = api.describe_stacks(StackName=stack)["Stacks"][0]
        return str(found.get("StackStatusReason", ""))

    def _execute(self, stack: str, template: str, tags: list[dict[str, str]]) -> str:
        api = self.client.client("cloudformation")
        status = self.client.status(stack)
        # As the command line does: a stack whose creation was rolled back can only be deleted.
        if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
            self.client.delete(stack)
            status = ""
        change = f"change-{next(self.client.numbers)}"
        api.create_change_set(
            StackName=stack,
            ChangeSetName=change,
            ChangeSetType="UPDATE" if status else "CREATE",
            TemplateBody=template,
            Tags=tags,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        )
        api.execute_change_set(StackName=stack, ChangeSetName=change)
        return self.client.settled(stack)

    def _publish(self, assembly: Assembly, stack: str) -> None:
        assets = assembly.assets(stack)
        for one in assets["files"].values():
            # Templates are passed as they are, so that only archives have to be uploaded.
            if one["source"]["packaging"] == "zip":
                body = _zipped(assembly.folder / one["source"]["path"])
                for target in one["destinations"].values():
                    self.client.client("s3").put_object(
                        Bucket=target["bucketName"], Key=target["objectKey"], Body=body
                    )
        for tag, one in assets["dockerImages"].items():
            self._build(assembly.folder / one["source"]["directory"], tag, one)

    def _build(self, folder: Path, tag: str, image: Json) -> None:
        store = self.client.cloud.state / "images"
        if not COMMANDS["inspect"]((f"cdkasset-{tag}",), store):
            return
        platform = ("--platform", image["source"]["platform"])
        COMMANDS["build"](("--tag", f"cdkasset-{tag}", *platform, str(folder)), store)
        for target in image["destinations"].values():
            record(self.client.client("ecr"), target["repositoryName"], target["imageTag"])


def _zipped(folder: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in _files(folder):
            archive.writestr(path.relative_to(folder).as_posix(), path.read_bytes())
    return file.getvalue()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
