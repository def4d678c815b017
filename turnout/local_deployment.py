"""The whole product on one machine: a local cloud, and the real `cdk deploy` of the real stacks into it."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from contracts.errors import TurnoutError
from contracts.keys import key_hash, new_key
from contracts.names import router_stack, weights_stack
from contracts.specs import Deployment
from images.engine.engine import Bridge
from images.errors import ImageError
from images.running.choice import Isolating
from local import children
from local.cloud import ACCOUNT, Cloud
from local.control.data_plane import AccountLimits
from local.control.domains.given import provide
from stacks.contents import contents_of
from stacks.limits.refusals import refusal
from stacks.routes.table import make_routes, read_artefacts
from turnout.cdk_progress import StackLines
from turnout.client import ENDPOINT_FILE, Endpoint
from turnout.deployed.clients import OBJECT_S, answered, clients_in
from turnout.image.current import current_layouts, functions_of
from turnout.image.local import Deployed, publish
from turnout.image.local import run as run_images
from turnout.keys import write_keys
from turnout.progress import Say
from turnout.push.local import push_again

ROOT = Path(__file__).resolve().parent.parent
CDK = ROOT / "node_modules/.bin/cdk"
# Seconds that an interrupted command has to end by itself, before it is killed.
GRACE_S = 5.0
# The last lines of the output that a message about a failed command has: the reason is among them.
TAIL_LINES = 25
# Stacks take turns only where one depends on another; the command line waits some seconds for each.
SIDE_BY_SIDE = ("--concurrency", "4")


def key_hashes(key: str) -> dict[str, str]:
    """Return the hashes that a deployment with one key has."""
    return {"laptop": key_hash(key)}


class DeployFailed(TurnoutError):
    """A deployment cannot start or the CDK command line failed; the message ends with the end of its output."""

    code = "deploy_failed"


class GpuRefused(DeployFailed):
    """All is deployed but a GPU tier, which AWS refuses; the message has the quota, or what else to do."""

    code = "gpu_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The files of a deployment: `models.toml` and the folder of sealed artefacts."""

    config: Path
    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeImages:
    """Images that `turnout image` made in a folder, of all functions or of those named.

    With `isolating` functions run in them, as on Lambda, and else by this machine's Python with the packages of a lock.
    """

    folder: Path
    names: Sequence[str] = ()
    isolating: Isolating | None = None


class Laptop:
    """A local cloud with one deployment in it; a context manager that stops all it started.

    Functions whose images `made` names are deployed as if they had been pushed. The account bears as many functions at
    once as `models.toml` says, and has a quota of `gpus` for each GPU instance type, or none.
    """

    def __init__(
        self,
        deployment: Deployment,
        files: Files,
        *,
        state: Path,
        https_port: int = 0,
        bridge: Bridge | None = None,
        made: MadeImages | None = None,
        gpus: int | None = None,
    ) -> None:
        self.deployment, self.files, self.made = deployment, files, made
        self.key = new_key()
        self.state = state.resolve()
        self.say: Say = lambda line: None
        self.detail: Say = lambda line: None
        self.cloud = Cloud(
            self.state / "cloud",
            region=deployment.region,
            https_port=https_port,
            bridge=bridge,
            isolating=made.isolating if made else None,
            limits=AccountLimits(concurrency=deployment.concurrency, instances=gpus),
            report=lambda line: self.say(line),
        )
        self.keys = self.state / "keys.toml"
        self.assembly = self.state / "cdk.out"
        self.images = self.state / "images.out"

    def __enter__(self) -> Self:
        self.state.mkdir(parents=True, exist_ok=True)
        self.cloud.start()
        return self

    def __exit__(self, *error: object) -> None:
        (self.state / ENDPOINT_FILE).unlink(missing_ok=True)
        self.cloud.stop()

    def deploy(self) -> Endpoint:
        """Bootstrap and deploy every stack with a key of its own.

        Raise DeployFailed, and ImageError for images that are missing or stale.
        """
        write_keys(self.keys, key_hashes(self.key))
        # An earlier deployment's are in no registry any more.
        shutil.rmtree(self.images, ignore_errors=True)
        deployed = self._published(self.made) if self.made else None
        with self.synthesising():
            # Away from cdk.json the command line does not synthesise the app, which a bootstrap does not need.
            self.cdk("bootstrap", f"aws://{ACCOUNT}/{self.deployment.region}", folder=self.state)
            if deployed:
                run_images(deployed, self.cloud, self.images)
        self._push_weights()
        if self.deployment.domain:
            provide(self.deployment.domain, self.deployment.region)
        outputs = self.state / "outputs.json"
        app, never = ("--app", str(self.assembly)), ("--require-approval", "never")
        url, stream_url = self.cloud.url, ""
        try:
            self.cdk("deploy", "--all", *SIDE_BY_SIDE, *never, *app, "--outputs-file", str(outputs))
            of_router = json.loads(outputs.read_text("utf-8"))[router_stack(self.deployment.name)]
            url, stream_url = of_router["Url"], of_router.get("StreamUrl", "")
        except GpuRefused as error:
            # GPU stacks come last, so that every CPU model serves.
            self.say(f"{error}. Every CPU model is deployed and answers.")
        aws, authority = self.cloud.credentials(), str(self.cloud.ca_file)
        endpoint = Endpoint(
            url=url, key=self.key, ca_file=authority, aws=aws, stream_url=stream_url
        )
        endpoint.save(self.state / ENDPOINT_FILE)
        return endpoint

    def _push_weights(self) -> None:
        """Have the weights of pushed models where their stacks look for them; raise PushFailed."""
        template = self.assembly / f"{weights_stack(self.deployment.name)}.template.json"
        clients = clients_in(
            self.deployment.region, local=self.cloud.credentials(), read_s=OBJECT_S
        )
        with answered():
            push_again(
                self.deployment,
                self.files.out,
                clients,
                lambda: template.read_text("utf-8"),
                self.say,
            )

    def _published(self, made: MadeImages) -> Deployed:
        """Return the images that are deployed, published; raise ImageError if one is missing or stale."""
        self.say("checking every byte of the images")
        artefacts, problems = read_artefacts(self.deployment, self.files.out)
        if problems:
            raise ImageError(self.files.out, problems)
        routes = make_routes(self.deployment, artefacts, key_hashes(self.key), self.files.out)
        contents = contents_of(self.deployment, self.files.out, routes)
        names = made.names or functions_of(self.deployment)
        layouts = current_layouts(contents, names, made.folder, routes)
        deployed = Deployed(contents=contents, layouts=layouts, images=made.folder, routes=routes)
        publish(deployed, self.cloud, self.images)
        return deployed

    @contextmanager
    def synthesising(self) -> Iterator[None]:
        """Synthesise the stacks while the block runs, and wait for them behind it; raises DeployFailed."""
        start, log = time.monotonic(), self._log("synth")
        command = [str(CDK), "synth", "--quiet", "--output", str(self.assembly)]
        with log.open("wb") as output:
            process = children.start(
                command, environment=self.environment(), folder=ROOT, output=output
            )
        try:
            yield
            code = process.wait()
        except BaseException:  # an interrupt too: no child may outlive us
            children.end(process, grace_s=GRACE_S)
            raise
        if code:
            raise self._failed("synth", code)
        self.say(f"stacks synthesised in {time.monotonic() - start:.1f} s")

    def cdk(self, *words: str, folder: Path = ROOT) -> None:
        """Run the project's own CDK command line against the local cloud; raises DeployFailed."""
        command = [str(CDK), *words]
        log = self._log(words[0])
        stacks = StackLines(say=self.say, detail=self.detail)
        with log.open("w", encoding="utf-8") as file:

            def take(line: str) -> None:
                file.write(line)
                stacks.read(line)

            code = run(command, folder, self.environment(), take)
        if code:
            raise self._failed(words[0], code)

    def _log(self, action: str) -> Path:
        """Return where the output of a CDK command goes, having said so."""
        log = self.state / f"cdk-{action}.log"
        self.say(f"cdk {action}, with all of its output in {relative_to_here(log)}")
        return log

    def _failed(self, action: str, code: int) -> DeployFailed:
        log = self.state / f"cdk-{action}.log"
        output = log.read_text("utf-8")
        said = f"`cdk {action}` ended with {code}; all of its output is in {log}"
        if why := refusal(output, self.deployment.region):
            return GpuRefused(f"{said}; {why}")
        tail = "".join(output.splitlines(keepends=True)[-TAIL_LINES:])
        return DeployFailed(f"{said}; the end of it:\n{tail}")

    def environment(self) -> Mapping[str, str]:
        """Return the environment of the CDK command line and of its app, without the user's own AWS settings."""
        kept = ("LANG", "LC_ALL", "NODE_EXTRA_CA_CERTS", "TMPDIR")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            **self.cloud.env(),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            # Outside the HOME that is emptied each time: unpacking the CDK takes longer than synthesising.
            "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(ROOT / ".turnout/jsii"),
            "CDK_DEFAULT_REGION": self.deployment.region,
            "TURNOUT_CONFIG": str(self.files.config.resolve()),
            "TURNOUT_OUT": str(self.files.out.resolve()),
            "TURNOUT_KEYS": str(self.keys),
            # Not the folder of images that were pushed to AWS: nothing here could pull them.
            "TURNOUT_IMAGES": str(self.images),
        }


def relative_to_here(path: Path) -> Path:
    """Return the path as seen from the working directory where it lies in it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], take: Say) -> int:
    """Run a command, pass on every line it prints, return its exit status; an interrupt ends it too."""
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8", errors="replace") as lines:
        # Closed here once the child has it: the lines below end when nobody holds the pipe's writing end any more.
        with open(writing, "wb") as output:
            process = children.start(command, environment=environment, folder=folder, output=output)
        try:
            for line in lines:
                take(line)
            return process.wait()
        except BaseException:  # an interrupt too: no child may outlive us
            children.end(process, grace_s=GRACE_S)
            raise
