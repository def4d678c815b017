"""Lambda functions: each execution environment is a process of its own, under AWS's own runtime client.

Timeouts, INIT, concurrency, memory and payload sizes are limited as on Lambda.
"""

import io
import json
import queue
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.limits import LAMBDA_INIT_S, LAMBDA_PAYLOAD_BYTES
from images.runtime_api import RuntimeApi, Work
from local import children
from local.control.data_plane import Invocation
from local.control.lambdas import error
from local.images import Image
from local.python_environments import python_for

TASK_ROOT = "/var/task"
# The most environments of one function; a new AWS account has a quota of ten concurrent executions as well.
MAX_CONCURRENCY = 10
# Mapped address space is more than the memory in use, so this limit only stops growth that is too fast for the watch.
DATA_LIMIT_FACTOR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The folder of a function's code, its handler and environment."""

    root: Path
    handler: str
    environment: Mapping[str, str]


class Environment:
    """An execution environment: one process that serves one invocation at a time.

    INIT may take `init_s`. One that is not done by then is ended, and run once more under the timeout of the request:
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
    """

    def __init__(
        self,
        function: Any,
        code: Code,
        python: Path,
        environment: Mapping[str, str],
        log: Path,
        init_s: float = LAMBDA_INIT_S,
    ) -> None:
        self.function, self.log, self.init_s = function, log, init_s
        self.busy = threading.Lock()
        self.memory_mb = int(function.memory_size)
        self.output = log.open("ab")
        self._command = [str(python), "-m", "awslambdaric", code.handler]
        self._variables, self._folder = environment, code.root
        self._begin()

    def _begin(self) -> None:
        """Start the process, with a server of its own: a request for work of an ended one must not get the next."""
        self.started, self.api = time.monotonic(), RuntimeApi()
        self.process = children.start(
            self._command,
            environment={**self._variables, "AWS_LAMBDA_RUNTIME_API": self.api.address},
            folder=self._folder,
            output=self.output,
            data_limit_mb=self.memory_mb * DATA_LIMIT_FACTOR,
        )
        self.watch = children.Watch(self.process, self.memory_mb)

    def _end_init(self) -> None:
        """Return when INIT is done or has failed; begin it again if it takes longer than it may."""
        while self.alive and self.api.answers.empty() and not self.api.ready.wait(0.05):
            if time.monotonic() - self.started > self.init_s:
                children.end(self.process)
                self.api.close()
                line = f"INIT_REPORT Init Duration: {self.init_s * 1e3:.2f} ms Phase: init Status: timeout\n"
                self.output.write(line.encode())
                self.output.flush()
                return self._begin()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def invoke(self, payload: bytes, timeout_s: float) -> tuple[bytes, bool]:
        """Return the response and whether it is an error; a process that hangs or ends is not reused."""
        self._end_init()
        request_id = str(uuid.uuid4())
        # INIT is not a part of the request, unless it is run again.
        deadline = time.time() + timeout_s
        work = Work(
            request_id=request_id,
            payload=payload,
            deadline_ms=int(deadline * 1000),
            arn=str(self.function.function_arn),
        )
        self.api.work.put(work)
        while True:
            try:
                # The end of the process wakes no queue, so both are polled.
                answer = self.api.answers.get(timeout=0.05)
            except queue.Empty:
                if not self.alive:
                    return self._died(request_id), True
                if time.time() > deadline:
                    self.close()
                    message = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
                    return error("Sandbox.Timedout", message), True
                continue
            # The handler could not be imported; Lambda starts another environment for the next request.
            if not answer.request_id:
                self.close()
                return answer.payload, True
            if answer.request_id == request_id:
                return answer.payload, answer.error

    def _died(self, request_id: str) -> bytes:
        code = self.process.wait()
        cause = "signal: killed" if self.watch.exceeded or code == -9 else f"exit status {code}"
        self.close()
        return error(
            "Runtime.ExitError",
            f"RequestId: {request_id} Error: Runtime exited with error: {cause}",
        )

    def tail(self) -> str:
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 4096))
            return file.read().decode("utf-8", "replace")

    def close(self) -> None:
        children.end(self.process)
        self.api.close()
        self.output.close()


class Pool:
    """All functions of one cloud, by the ARN of their versions."""

    def __init__(
        self,
        state: Path,
        venvs: Path,
        *,
        base: Callable[[], Mapping[str, str]],
        report: Callable[[str], None],
        init_s: float = LAMBDA_INIT_S,
    ) -> None:
        self.init_s = init_s
        self.images, self.code, self.logs = state / "images", state / "code", state / "logs"
        self.venvs, self.base, self.report = venvs, base, report
        self.lock = threading.Lock()
        self.environments: dict[str, list[Environment]] = {}
        self.codes: dict[str, tuple[Code, Path]] = {}
        for folder in (self.images, self.code, self.logs):
            folder.mkdir(parents=True, exist_ok=True)

    def invoke(self, function: Any, payload: bytes) -> Invocation:
        """Run one version of a function; never raises for an error of the function."""
        environment = self._acquire(function)
        if environment is None:
            body = error(
                "TooManyRequestsException", f"more than {MAX_CONCURRENCY} requests run at once"
            )
            return Invocation(payload=body, error=True, log="")
        try:
            # 3 s is Lambda's default.
            body, failed = environment.invoke(payload, float(function.timeout or 3))
        finally:
            environment.busy.release()
        if not failed and len(body) > LAMBDA_PAYLOAD_BYTES:
            message = f"Response payload size exceeded maximum allowed payload size ({LAMBDA_PAYLOAD_BYTES} bytes)."
            body, failed = error("Function.ResponseSizeTooLarge", message), True
        return Invocation(payload=body, error=failed, log=environment.tail())

    def prepare(self, function: Any) -> None:
        """Install the packages of a version, as the build of its image would have."""
        self._code_and_python(function)

    def forget(self, function_arn: str) -> None:
        """Close every environment of a function and of its versions."""
        with self.lock:
            gone = [
                arn
                for arn in self.environments
                if arn == function_arn or arn.startswith(f"{function_arn}:")
            ]
            ended = [environment for arn in gone for environment in self.environments.pop(arn)]
        for environment in ended:
            environment.close()

    def close(self) -> None:
        with self.lock:
            ended = [environment for pool in self.environments.values() for environment in pool]
            self.environments.clear()
        for environment in ended:
            environment.close()

    def processes(self) -> list[tuple[str, int]]:
        with self.lock:
            return [
                (f"lambda {environment.function.function_name}", environment.process.pid)
                for pool in self.environments.values()
                for environment in pool
                if environment.alive
            ]

    def _acquire(self, function: Any) -> Environment | None:
        """Return an idle environment of this version, or a new one, locked; None at the limit of concurrency."""
        code, python = self._code_and_python(function)
        with self.lock:
            key = str(function.function_arn)
            pool = self._alive(key)
            for environment in pool:
                if environment.busy.acquire(blocking=False):
                    return environment
            if len(pool) >= MAX_CONCURRENCY:
                return None
            log = self.logs / f"{function.function_name}.log"
            variables = self._variables(function, code)
            environment = Environment(function, code, python, variables, log, self.init_s)
            environment.busy.acquire()
            pool.append(environment)
            return environment

    def _alive(self, key: str) -> list[Environment]:
        """Return the environments of a version that are alive; close the others."""
        known = self.environments.get(key, [])
        for environment in known:
            if not environment.alive:
                environment.close()
        self.environments[key] = [environment for environment in known if environment.alive]
        return self.environments[key]

    def _code_and_python(self, function: Any) -> tuple[Code, Path]:
        # Several functions may share an image and differ in their handler.
        key = f"{function.code.get('ImageUri') or function.code_sha_256} {function.handler}"
        if key not in self.codes:
            code = self._image(function) if "ImageUri" in function.code else self._zip(function)
            self.codes[key] = code, python_for(code.root, self.venvs, self.report)
        return self.codes[key]

    def _image(self, function: Any) -> Code:
        image = Image.load(self.images, function.code["ImageUri"].rpartition(":")[2])
        here = {
            name: value.replace(TASK_ROOT, str(image.path(TASK_ROOT)))
            for name, value in image.environment.items()
        }
        return Code(root=image.folder, handler=image.command[0], environment=here)

    def _zip(self, function: Any) -> Code:
        root = Path(tempfile.mkdtemp(prefix=f"{function.function_name}-", dir=self.code))
        with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as archive:
            archive.extractall(root)
        return Code(root=root, handler=function.handler, environment={})

    def _variables(self, function: Any, code: Code) -> dict[str, str]:
        """Return the environment of a function: Lambda's variables, the image's, then its configuration's.

        Nothing is inherited. The task root is a folder here, so variables that default to paths in it are set.
        """
        root = str(code.root)
        return {
            **self.base(),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": root,
            "LAMBDA_TASK_ROOT": root,
            "_HANDLER": code.handler,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python",
            "AWS_LAMBDA_FUNCTION_NAME": str(function.function_name),
            "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.function_name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "TURNOUT_MODEL_DIR": f"{root}/model",
            "TURNOUT_ROUTES": f"{root}/routes.json",
            "TURNOUT_DOCS": f"{root}/docs",
            **code.environment,
            **{str(k): str(v) for k, v in (function.environment_vars or {}).items()},
        }


def too_large(payload: bytes) -> bytes | None:
    """Return the body of Lambda's response to a request above its size limit; None for a smaller one."""
    if len(payload) <= LAMBDA_PAYLOAD_BYTES:
        return None
    message = f"{len(payload)} byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"
    return json.dumps({"Type": "User", "message": message}).encode()
