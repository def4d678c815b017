"""The client of `reference/`: the user's model run by its own library, in a process that imports nothing of ours.

One process serves all sources of a build, since its libraries take seconds to import. It has neither a network nor
credentials.
"""

import atexit
import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from textwrap import shorten
from typing import Any

from build.errors import BuildError, SourceError
from build.evaluation.rows import Row
from build.sources.source import TransformersSource
from build.workspace.checkout import ROOT
from build.workspace.json_process import IsolatedJsonProcess
from build.workspace.progress import Notify, counted, silent
from contracts.http_errors import ModelFailed
from contracts.problems import Code

SCRIPT = ROOT / "reference" / "__main__.py"
ADVICE = "check that its own library answers these rows, and that its tokenizer belongs to it; save it again"
# The answers to one row, one for each of its inputs, as the library gives them.
Answers = list[dict[str, Any]]


class Library(IsolatedJsonProcess):
    """The process of `reference/`; nothing is waited for until a row is asked."""

    def __init__(self) -> None:
        # -I leaves out the environment's Python settings, the working folder and the user's packages.
        super().__init__([sys.executable, "-I", str(SCRIPT)])

    def answers(
        self,
        source: TransformersSource,
        rows: Sequence[Row],
        notify: Notify = silent,
        *,
        trace: bool = False,
    ) -> tuple[list[Answers], dict[str, str]]:
        """Return the answers to the rows, and the versions of the libraries that gave them.

        With `trace`, each answer has the inputs that the model was `fed`. Raise SourceError where the library fails.
        """
        asked = {
            "task": str(source.task.name),
            "folder": str(source.folder.resolve()),
            "max_tokens": source.asked_tokens,
            "labels": source.asked_labels,
            "trace": trace,
        }
        libraries = _checked(self.ask(open=asked), source.path)["libraries"]
        found = []
        for number, row in enumerate(counted(rows, notify), start=1):
            answer = self.ask(
                row={
                    "inputs": row.request.inputs,
                    "parameters": row.request.parameters,
                    "target": row.answer if isinstance(row.answer, str) else None,
                }
            )
            place = f" on row {number}, {shorten(json.dumps(row.request.inputs[0]), 60)}"
            found.append(_checked(answer, source.path, place)["answers"])
        self.ask(close=True)
        return found, libraries

    def ids(self, source: TransformersSource, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text by the source's own tokenizer; raise SourceError where that fails."""
        asked = {"task": "tokens", "folder": str(source.folder.resolve())}
        _checked(self.ask(open=asked), source.path)
        answer = _checked(self.ask(row={"inputs": list(texts)}), source.path)
        self.ask(close=True)
        return [each["ids"] for each in answer["answers"]]

    def stop(self) -> None:
        """End the process; whoever waits for an answer is told so, and who asks next has another process."""
        library.cache_clear()
        self.process.kill()

    def ended(self) -> Exception:
        """Return the error of a process that has ended, with its last words."""
        code, last = self.process.wait(), self.last_line()
        library.cache_clear()
        return BuildError(
            f"the process of the reference ended with {code} ({last or 'it said nothing'}); where memory was short, "
            "free some or take a larger machine, and build again"
        )


@cache
def library() -> Library:
    """Return the process, started when it is first needed; it ends with this one."""
    started = Library()
    atexit.register(started.__exit__)
    return started


def _checked(answer: dict[str, Any], path: Path, place: str = "") -> dict[str, Any]:
    """Return the answer; raise SourceError for a problem or an error in its place, ModelFailed for NaN or infinity."""
    if "not_finite" in answer:
        raise ModelFailed("the model answered with numbers that are not finite")
    if "problem" in answer:
        raise SourceError.about(path, Code.WEIGHTS_INCOMPLETE, answer["problem"])
    if "error" in answer:
        message = f"running the reference failed{place} ({answer['error']}); {ADVICE}"
        raise SourceError.about(path, Code.REFERENCE_FAILED, message)
    return answer
