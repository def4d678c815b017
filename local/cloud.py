"""One local cloud in one process: moto's server, the hosts of functions and containers, and the HTTPS front."""

import contextlib
import fcntl
import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from contracts.limits import GATEWAY_TIMEOUT_S, LAMBDA_INIT_S
from images.engine.engine import Bridge
from images.running.choice import Isolating
from local import certificate, children, docker
from local.application import application_of
from local.bridge import for_containers, listening
from local.chaos.running import Chaos, ComponentCopies
from local.containers import Fleet
from local.control import components
from local.control.data_plane import ACCOUNT, AccountLimits, DataPlane, use
from local.control.lambdas import invoke_function
from local.control.moto_extension import extend
from local.errors import LocalError
from local.functions import schedules
from local.functions.pool import Pool
from local.gateway import Gateway, GatewayServer
from local.metrics.alarms import Alarms
from local.metrics.embedded import Embedded
from local.permissions.access import Access
from local.permissions.services import GATEWAY
from local.rest.functions import stream

__all__ = ["ACCOUNT", "Cloud"]

ROOT = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
VENVS = ROOT / ".turnout/venvs"


class Cloud:
    """A local cloud between `start` and `stop`; everything it starts ends with it, and with this process.

    `state` holds images, logs and certificates, and belongs to one running cloud at a time. With a `bridge`, containers
    of an engine reach the control plane at `bridge_url`. With `isolating`, functions run in the images of `add_image`.
    """

    def __init__(
        self,
        state: Path,
        *,
        region: str = REGION,
        https_port: int = 0,
        gateway_timeout_s: float = GATEWAY_TIMEOUT_S,
        init_s: float = LAMBDA_INIT_S,
        bridge: Bridge | None = None,
        isolating: Isolating | None = None,
        limits: AccountLimits | None = None,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.state, self.region, self.https_port = state.resolve(), region, https_port
        self.gateway_timeout_s, self.init_s = gateway_timeout_s, init_s
        self.limits = limits or AccountLimits()
        self.bridge, self.isolating, self.report = bridge, isolating, report
        self.endpoint_url = self.bridge_url = self.url = ""
        self.ca_file = self.state / certificate.CA_FILE
        self.undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and return when it is ready; raise LocalError if a port or the folder is taken."""
        with contextlib.ExitStack() as undo:
            self._lock_state(undo)
            self.access = Access(ACCOUNT, report=self.report)
            copies = ComponentCopies(
                lose=components.lose, have=components.has_copy, restore=components.restore
            )
            self.chaos = Chaos(copies, report=self.report)
            self.functions = Pool(
                self.state,
                VENVS,
                access=self.access,
                base=self._credentials_of,
                report=self.report,
                init_s=self.init_s,
                chaos=self.chaos,
                isolating=self.isolating,
                concurrency=self.limits.concurrency,
            )
            undo.callback(self.functions.close)
            self.containers = Fleet(self.state, VENVS, chaos=self.chaos, report=self.report)
            undo.callback(self.containers.close)
            self._start_control(undo)
            undo.callback(self.chaos.stop)
            self._start_front(undo)
            self._write_docker()
            # Only a complete start is kept: an error above ends all that was started before it.
            self.undo = undo.pop_all()

    def stop(self) -> None:
        """End everything; a second call does nothing."""
        self.undo.close()

    def _lock_state(self, undo: contextlib.ExitStack) -> None:
        """Lock the state folder and remove an earlier cloud's files; its processes have ended with it."""
        self.state.mkdir(parents=True, exist_ok=True)
        # Not "w", which would empty the file of the cloud that holds the lock.
        lock = undo.enter_context((self.state / "lock").open("a+", encoding="ascii"))
        try:
            # The kernel releases the lock when this process ends, even by SIGKILL.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise LocalError(
                f"a local cloud runs already as process {lock.read()}; stop it first"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        for name in ("images", "code", "logs", "home", "weights"):
            shutil.rmtree(self.state / name, ignore_errors=True)
            (self.state / name).mkdir(parents=True)

    def _start_control(self, undo: contextlib.ExitStack) -> None:
        # moto looks here before it derives an account from a request's header or access key.
        os.environ.setdefault("MOTO_ACCOUNT_ID", ACCOUNT)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        extend()
        schedules.extend()
        application = application_of(self.containers, self.access, self.chaos)
        server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
        # moto takes a bucket from the path only for the host "localhost", and from the host name otherwise.
        host = f"localhost:{server.server_port}"
        self.endpoint_url = f"http://{host}"
        undo.callback(_reset)
        use(
            DataPlane(
                endpoint_url=self.endpoint_url,
                api_endpoint=lambda api_id: self.url,
                functions=self.functions,
                containers=self.containers,
                access=self.access,
                alarms=Alarms(embedded=Embedded(logs=self.state / "logs")),
                limits=self.limits,
            )
        )
        _serve(server, undo)
        fired = schedules.Schedules(self.region, self.access, self.report)
        fired.start()
        undo.callback(fired.stop)
        if self.bridge:
            listener = undo.enter_context(listening(self.bridge.address))
            for_bridge = make_server(
                self.bridge.address,
                0,
                for_containers(application, self.bridge, host),
                threaded=True,
                request_handler=_Quiet,
                fd=listener.fileno(),
            )
            self.bridge_url = f"http://{self.bridge.address}:{listener.getsockname()[1]}"
            _serve(for_bridge, undo)

    def _start_front(self, undo: contextlib.ExitStack) -> None:
        gateway = Gateway(
            self._check,
            invoke_function,
            self.state / "logs",
            stream=stream,
            timeout_s=self.gateway_timeout_s,
        )
        certificates = certificate.Certificates(self.state)
        server = GatewayServer(
            gateway,
            port=self.https_port,
            certificate=certificates.front(),
            by_name=certificates.choose,
        )
        try:
            self.url = f"https://{certificate.HOST}:{server.start()}"
        except OSError as error:
            raise LocalError(str(error)) from error
        undo.callback(server.stop)

    def _check(self, route: str, arn: str) -> None:
        """Check that the gateway may invoke a function for the route of an API's stage; raise AccessDenied."""
        source = f"arn:aws:execute-api:{self.region}:{ACCOUNT}:{route}"
        self.access.check_function(arn, GATEWAY, source)

    def credentials(self) -> dict[str, str]:
        """Return the environment with which an AWS client reaches this cloud and no other."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_SESSION_TOKEN": "local",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _credentials_of(self, role: str) -> dict[str, str]:
        """Return the environment with which a client reaches this cloud as a role."""
        return {**self.credentials(), **self.access.credentials(role)}

    def env(self) -> dict[str, str]:
        """Return the environment of the CDK command line, which reaches nothing but this cloud."""
        return {
            **self.credentials(),
            # The CDK keeps account ids under HOME (`.cdk/cache`), where the user's own must not meet this cloud's.
            "HOME": str(self.state / "home"),
            "CDK_DOCKER": str(self.state / "docker"),
            "CDK_DEFAULT_ACCOUNT": ACCOUNT,
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            # A list of Node's major versions: jsii ignores any other value.
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20",
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "true",
            "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED": "true",
        }

    def processes(self) -> list[children.Memory]:
        """Return this process and every child, with its memory."""
        named = [
            ("local cloud", os.getpid()),
            *self.functions.processes(),
            *self.containers.processes(),
        ]
        return [
            children.Memory(name=name, pid=pid, pss_mb=round(children.pss_mb(pid), 1))
            for name, pid in named
        ]

    def _write_docker(self) -> None:
        """Write the executable that the CDK calls instead of Docker."""
        script = self.state / "docker"
        images = self.state / "images"
        script.write_text(
            f"#!/bin/sh\nexport PYTHONPATH='{ROOT}' {docker.STORE}='{images}'\n"
            f"exec '{sys.executable}' -m local.docker \"$@\"\n",
            "utf-8",
        )
        script.chmod(0o755)


def _serve(server: BaseWSGIServer, undo: contextlib.ExitStack) -> None:
    """Serve in a thread until `undo`."""
    # A request that still runs must not keep the process alive.
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True, name="control").start()
    undo.callback(_stop, server)


def _stop(server: BaseWSGIServer) -> None:
    server.shutdown()
    server.server_close()


def _reset() -> None:
    """Delete every resource from moto's global state: the next cloud of this process starts empty."""
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()
    components.COMPONENTS.clear()
    use(None)


class _Quiet(WSGIRequestHandler):
    # HTTP/1.0, the default, closes the connection after each request.
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        return
