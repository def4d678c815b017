"""Isolation by an engine: each copy of a function is a container of Docker's or Podman's."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from images.engine.archive import archive_of, load
from images.engine.engine import Engine
from images.isolation.limits import FILES, GROUP, PROCESSES, TMP_MB, USER
from images.layer import Layer
from images.oci.reading import Layout
from images.running.function import Function
from images.running.process import Output, Process, start

# Where the emulator lies in a container, and nowhere in an image.
EMULATOR = "/aws-lambda-rie"
# Standard input ends with the process at its other end, however that ends. A container that never began is no news.
WATCH = "import subprocess, sys; sys.stdin.read(); subprocess.run(sys.argv[1:])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The isolation of an image that an engine has under a tag, which leaves files in a folder.

    Without an emulator, the function is given the address of a Runtime API by its variables.
    """

    engine: Engine
    tag: str
    emulator: Path | None
    folder: Path

    def start(
        self, function: Function, arguments: Sequence[str] = (), output: Output = subprocess.PIPE
    ) -> Process:
        """Start a function in a container with its limits."""
        name = f"turnout-{uuid4().hex[:12]}"
        variables = [f"--env={key}={value}" for key, value in function.environment.items()]
        command = [self.engine.program, "run", "--rm", "--name", name, *_isolation(function)]
        tmp = f"--tmpfs=/tmp:rw,size={TMP_MB}m,mode=1777"
        # Otherwise Podman lets a function write to /run and /var/tmp as well.
        command += [tmp, "--read-only-tmpfs=false"] if self.engine.is_podman else [tmp]
        started = list(function.command)
        if self.emulator:
            command += [f"--volume={self.emulator.resolve()}:{EMULATOR}:ro"]
            started = [EMULATOR, *arguments, *started]
        command += [*variables, "--entrypoint", started[0], self.tag, *started[1:]]
        # Podman's monitor leaves a file `oom` in its folder when memory runs out.
        popen = start(command, self.engine.variables(), self.folder, output)
        return Process(popen=popen, stop=self._remover(name))

    def _remover(self, name: str) -> Callable[[], None]:
        """Return what removes a container; it is removed as well when this process ends without that.

        Engines do not end a container with the command that started it.
        """
        command = [self.engine.program, "rm", "--force", "--volumes", name]
        # A runtime that is the first process takes no SIGTERM, for which Podman waits 10 s otherwise.
        command += ["--time=0"] if self.engine.is_podman else []
        watch = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WATCH, *command],
            env=self.engine.variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

        def remove() -> None:
            if watch.stdin:
                watch.stdin.close()
            watch.wait()

        return remove


def _isolation(function: Function) -> Iterator[str]:
    memory = f"{function.limits.memory_mb}m"
    yield from ("--pull=never", "--network=host", f"--workdir={function.settings.working_dir}")
    # Without swap: the limit of both together is that of memory.
    yield from (f"--memory={memory}", f"--memory-swap={memory}")
    yield f"--cpus={function.limits.cpus:.3f}"
    # With one limit given, Podman takes its own for the others, which may be more than root can have.
    limits = {"nofile": FILES, "nproc": PROCESSES}
    yield from (f"--ulimit={name}={value}:{value}" for name, value in limits.items())
    yield f"--pids-limit={PROCESSES}"
    # Without /dev/shm, which Lambda does not have either.
    yield from ("--read-only", "--ipc=none", f"--user={USER}:{GROUP}", "--cap-drop=all")
    yield "--security-opt=no-new-privileges"


def load_image(engine: Engine, name: str, layout: Layout, above: Sequence[Layer] = ()) -> str:
    """Have an engine load an image that was read, with layers above, unless it has it; return its tag.

    The tag has the digests of the image and of those layers. Raise EngineFailed with the engine's words if it takes it
    not.
    """
    digests = [str(layout.descriptors[0]["digest"]), *(layer.digest for layer in above)]
    tag = "-".join(digest.removeprefix("sha256:")[:12] for digest in digests)
    comments = [("above", layer) for layer in above]
    archive = archive_of(layout, f"localhost/turnout/{name}:{tag}", comments)
    if not archive.is_loaded(engine):
        load(engine, archive)
    return archive.tag
