"""`turnout push`: a model's files into the deployment's bucket, its marker last, and its artefact."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from contracts.manifest import Manifest
from contracts.problems import Code
from contracts.specs import Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task
from contracts.weights.pushed import Weights, marker_of, prefix_of
from images.registry.push import Moved
from stacks.weights.container import Container
from turnout.deployed.clients import Client, Clients, answered, code_of
from turnout.image.pushing import bytes_of, progress_of
from turnout.progress import status
from turnout.push.bucket import have_bucket
from turnout.push.container import container_in
from turnout.push.errors import PushFailed
from turnout.push.hub import Hub
from turnout.push.kept import Kept
from turnout.push.recorded import recorded
from turnout.push.sealing import seal, size_of
from turnout.push.tree import Folder, Tree, checked, read_weights
from turnout.push.upload import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """The outcome of a push; `undigested` says why its container is known by its tag alone, empty where it is not."""

    manifest: Manifest
    weights: Weights
    bucket: str
    moved: Moved
    proved: bool
    recorded: str
    container: Container
    undigested: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.manifest.model,
            "version": self.manifest.version,
            "weights": f"s3://{self.bucket}/{prefix_of(self.weights.digest)}",
            "origin": self.weights.origin,
            "files": len(self.weights.files),
            "bytes": self.weights.size,
            "sent": self.moved.sent,
            "there": self.moved.there,
            "proved": self.proved,
            "recorded": self.recorded,
            "container": self.container.to_json(),
        }


def model_of(deployment: Deployment, name: str) -> tuple[ModelSpec, GpuSpec]:
    """Return a model with its GPU tier; raise PushFailed for one that vLLM cannot be given."""
    known = {model.name: model for model in deployment.models}
    if name not in known:
        message = f"there is no such model; models.toml has {', '.join(known)}"
        raise PushFailed.about(name, Code.MODEL_UNKNOWN, message)
    model = known[name]
    if model.gpu is None:
        message = 'has no GPU tier; add gpu = { instance = "ml.g6e.xlarge", server = "vllm" }'
        raise PushFailed.about(name, Code.SETTING_MISSING, message)
    if model.task is not Task.TEXT_GENERATION:
        message = f"vLLM serves {Task.TEXT_GENERATION} alone; `turnout build` makes its GPU tier"
        raise PushFailed.about(name, Code.TASK_UNSUPPORTED, message)
    return model, model.gpu


def tree_of(source: Path | str, environment: Mapping[str, str]) -> Tree:
    """Return the files of a source; raise PushFailed."""
    text = str(source)
    if text.startswith("hf://"):
        return Hub(text, environment)
    if "://" in text:
        message = "cannot be pushed; name a folder, or hf://org/name@revision"
        raise PushFailed.about(text, Code.SETTING_INVALID, message)
    return Folder(Path(source))


def push(
    deployment: Deployment,
    spec: ModelSpec,
    tree: Tree,
    out: Path,
    clients: Clients,
    log: Console,
    kept: Kept | None = None,
) -> Pushed:
    """Have a model's weights in the deployment's bucket, and its artefact in `out`.

    Raise PushFailed, Unsized for a model whose size cannot be computed, and AwsRefused.
    """
    with status(log, f"{spec.name}: its files") as say:
        # What can be refused at once is, before hundreds of gigabytes are read.
        paths = checked(tree)
        model = size_of(tree, paths)
        with answered():
            bucket = have_bucket(deployment, clients, say)
        weights = read_weights(tree, _told_each_gigabyte(say), kept, paths)
    with answered():
        moved = send(tree, weights, clients("s3"), bucket, log, kept)
    container, undigested = container_in(deployment.region, clients("ecr"))
    manifest = seal(spec, tree, weights, model, out, container)
    proved, said = recorded(out, manifest, spec.eval)
    return Pushed(
        manifest=manifest,
        weights=weights,
        bucket=bucket,
        moved=moved,
        proved=proved,
        recorded=said,
        container=container,
        undigested=undigested,
    )


def send(
    tree: Tree,
    weights: Weights,
    s3: Client,
    bucket: str,
    log: Console,
    kept: Kept | None = None,
) -> Moved:
    """Send what is not there yet, the marker last; return how much was sent. Raise PushFailed."""
    if _has_marker(s3, bucket, weights.digest):
        return Moved(there=weights.size)
    sent = there = 0
    with progress_of(log, {file.path: file.size for file in weights.files}) as shown:
        uploads = Uploads(s3, bucket, shown.told, kept)
        try:
            for file in weights.files:
                moved = uploads.run(tree, file, prefix_of(weights.digest) + file.path)
                sent, there = sent + moved.sent, there + moved.there
        finally:
            uploads.close()
    body = weights.to_json().encode()
    s3.put_object(Bucket=bucket, Key=marker_of(weights.digest), Body=body)
    return Moved(sent=sent, there=there)


def _has_marker(s3: Client, bucket: str, digest: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        found = s3.get_object(Bucket=bucket, Key=marker_of(digest))
    except ClientError as error:
        if code_of(error) == "NoSuchKey":
            return False
        raise
    return bool(json.loads(found["Body"].read()).get("digest") == digest)


def _told_each_gigabyte(say: Callable[[str], None]) -> Callable[[str, int], None]:
    """Return who is told of each block that is hashed, and says how far it is, seldom enough for a log."""
    done: dict[str, int] = {}

    def hashed(path: str, size: int) -> None:
        before = done.get(path, 0)
        done[path] = before + size
        if before >> 30 != done[path] >> 30:
            say(f"{path}: {done[path] / 1e9:.1f} GB read")

    return hashed


def show(pushed: Pushed, console: Console) -> None:
    """Print where the weights are, and what comes next."""
    found, container = pushed.to_json(), pushed.container
    console.print(found["weights"], markup=False, soft_wrap=True)
    console.print(
        f"vLLM's container {container.tag}: {container.digest or 'by its tag alone, ' + pushed.undigested}",
        markup=False,
        soft_wrap=True,
    )
    console.print(
        f"{found['model']} {found['version']}: {found['files']} files, {bytes_of(pushed.moved)}; "
        f"{pushed.recorded}",
        soft_wrap=True,
    )
