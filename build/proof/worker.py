"""The worker: an artefact in a process of its own, which runs it on requests and times it.

`python -m build.proof.worker FOLDER THREADS` loads the artefact, reports how long that took in a line of JSON, and then
answers each request line with outputs and times. The parent may put an emulator before the interpreter.

Without arguments it starts a copy of itself (fork) for each line `{"folder", "threads"}`, and passes on to a copy each
request with its number as `worker`; `{"end"}` ends all copies. To import what runs an artefact takes longer than to
load a small one, and a copy has it imported.
"""

import json
import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

from build.evaluation.teacher_forcing import answer
from contracts.prediction import PredictRequest
from functions.inference.engine import Engine


def serve(folder: Path, threads: int, requests: TextIO, answers: TextIO) -> None:
    """Load the artefact, and answer each line of the requests."""
    start = time.perf_counter()
    # A row may hold more inputs than the endpoint takes at once, such as the texts of a ranking.
    engine = Engine.load(folder, threads=threads, max_inputs=1_000_000)
    send(answers, load_ms=(time.perf_counter() - start) * 1e3)
    for line in requests:
        message = json.loads(line)
        request = PredictRequest(
            inputs=tuple(message["inputs"]), parameters=message.get("parameters", {})
        )
        durations = []
        for _ in range(message["repeats"]):
            begin = time.perf_counter()
            outputs = answer(engine, request, message.get("forced"))
            durations.append((time.perf_counter() - begin) * 1e3)
        generated = sum(output.get("generated_tokens", 0) for output in outputs)
        send(
            answers,
            ms=durations,
            units=generated or 1,
            peak_mb=_peak_mb(),
            outputs=outputs if message["with_outputs"] else (),
        )


def send(answers: TextIO, **values: Any) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()


def _peak_mb() -> float:
    """Return the largest resident set so far. `getrusage` would count the parent's memory at the fork as well."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    lines = status.read_text("utf-8").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy of this process that serves one artefact; it ends when this process does."""

    process: int
    requests: TextIO
    answers: TextIO

    @classmethod
    def start(cls, folder: Path, threads: int) -> Self:
        """Start a copy that serves the artefact."""
        requests, to_copy = os.pipe()
        from_copy, answers = os.pipe()
        process = os.fork()
        if not process:
            # Only this process holds the other end, so that the copy is told its end.
            os.close(to_copy)
            _serve_as_copy(folder, threads, os.fdopen(requests), os.fdopen(answers, "w"))
        os.close(requests)
        os.close(answers)
        return cls(process=process, requests=os.fdopen(to_copy, "w"), answers=os.fdopen(from_copy))

    def answer(self, line: str = "") -> str:
        """Send a line, if there is one, and return that of the answer, or `{"ended"}` with the exit status."""
        try:
            self.requests.write(line)
            self.requests.flush()
        except BrokenPipeError:
            pass  # what follows says that it has ended
        found = self.answers.readline()
        if found:
            return found
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        return json.dumps({"ended": status}) + "\n"

    def end(self) -> None:
        """Close its requests, at whose end it ends, and wait for that."""
        self.requests.close()
        self.answers.read()
        self.answers.close()
        os.waitpid(self.process, 0)


def _serve_as_copy(folder: Path, threads: int, requests: TextIO, answers: TextIO) -> None:
    status = 1
    try:
        serve(folder, threads, requests, answers)
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)  # what the process it is a copy of would do at its end is left to that one


def serve_all() -> None:
    """Start a copy for each artefact, and pass on requests and answers."""
    copies: list[Copy] = []
    for line in sys.stdin:
        message = json.loads(line)
        if "folder" in message:
            copies.append(Copy.start(Path(message["folder"]), message["threads"]))
            found = copies[-1].answer()
        elif "end" in message:
            while copies:
                copies.pop().end()
            found = "{}\n"
        else:
            found = copies[message["worker"]].answer(line)
        sys.stdout.write(found)
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:]:
        serve(Path(sys.argv[1]), int(sys.argv[2]), sys.stdin, sys.stdout)
    else:
        serve_all()
