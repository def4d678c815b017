"""Functions that this machine's Python runs: from images as folders, or from archives of their code."""

import io
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from images.running.process import Process
from local import children
from local.functions.environment import Start, command_of, configured
from local.images import Image
from local.python_environments import python_for

TASK_ROOT = "/var/task"
# Mapped address space is more than the memory in use, so this limit only stops growth that is too fast for the watch.
DATA_LIMIT_FACTOR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The folder of a function's code, its handler and environment, and the interpreter that has its packages."""

    root: Path
    handler: str
    environment: Mapping[str, str]
    python: Path


class ByPython:
    """The code of all functions of one cloud; nothing of the user's environment is inherited by them."""

    def __init__(
        self,
        state: Path,
        venvs: Path,
        *,
        base: Callable[[str], Mapping[str, str]],
        report: Callable[[str], None],
    ) -> None:
        self.images, self.code = state / "images", state / "code"
        self.venvs, self.base, self.report = venvs, base, report
        self.codes: dict[str, Code] = {}
        for folder in (self.images, self.code):
            folder.mkdir(parents=True, exist_ok=True)

    def start_of(self, function: Any) -> Start:
        """Return how a version is started; its packages are installed if they are not."""
        code = self._code(function)
        memory_mb = int(function.memory_size)
        variables = self._variables(function, code)

        def start(address: str, output: IO[bytes]) -> Process:
            process = children.start(
                [str(code.python), "-m", "awslambdaric", code.handler],
                environment={**variables, "AWS_LAMBDA_RUNTIME_API": address},
                folder=code.root,
                output=output,
                data_limit_mb=memory_mb * DATA_LIMIT_FACTOR,
            )
            children.watch(process, memory_mb)
            return Process(popen=process)

        return start

    def _code(self, function: Any) -> Code:
        # Several functions may share an image and differ in their handler.
        named = command_of(function) or function.handler
        key = f"{function.code.get('ImageUri') or function.code_sha_256} {named}"
        if key not in self.codes:
            of = self._image if "ImageUri" in function.code else self._zip
            root, handler, environment = of(function)
            python = python_for(root, self.venvs, self.report)
            self.codes[key] = Code(
                root=root, handler=handler, environment=environment, python=python
            )
        return self.codes[key]

    def _image(self, function: Any) -> tuple[Path, str, Mapping[str, str]]:
        image = Image.load(self.images, function.code["ImageUri"])
        here = {
            name: value.replace(TASK_ROOT, str(image.path(TASK_ROOT)))
            for name, value in image.environment.items()
        }
        return image.folder, command_of(function) or image.command[0], here

    def _zip(self, function: Any) -> tuple[Path, str, Mapping[str, str]]:
        root = Path(tempfile.mkdtemp(prefix=f"{function.function_name}-", dir=self.code))
        with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as archive:
            archive.extractall(root)
        return root, function.handler, {}

    def _variables(self, function: Any, code: Code) -> dict[str, str]:
        """Return the environment of a function. The task root is a folder here, so defaults below it are set."""
        root = str(code.root)
        return {
            **self.base(str(function.role)),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": root,
            "LAMBDA_TASK_ROOT": root,
            "_HANDLER": code.handler,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python",
            "TURNOUT_MODEL_DIR": f"{root}/model",
            "TURNOUT_ROUTES": f"{root}/routes.json",
            "TURNOUT_DOCS": f"{root}/docs",
            **code.environment,
            **configured(function),
        }
