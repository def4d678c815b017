"""The rendering of chat templates, which are programs in a model's files, in a process without a network.

The process (`sandbox.py`) has a limit of memory, and some seconds.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from build.workspace.isolated_process import isolated

PROGRAM = Path(__file__).with_name("sandbox.py")
# A template of a few lines is rendered in milliseconds; loops within loops never end.
SECONDS = 10
Message = Mapping[str, Any]


class NotRendered(Exception):
    """A template that cannot be rendered, with the reason."""


def render(
    template: str, conversations: Sequence[Sequence[Message]], variables: Mapping[str, Any]
) -> list[str]:
    """Return the text of each conversation; raise NotRendered, also for a template that writes the time."""
    texts: list[str] = []
    for text in attempt(template, conversations, variables):
        if isinstance(text, NotRendered):
            raise text
        texts.append(text)
    return texts


def attempt(
    template: str,
    conversations: Sequence[Sequence[Message]],
    variables: Mapping[str, Any],
    time: str | None = None,
) -> list[str | NotRendered]:
    """Return the text of each conversation, or why it has none; raise NotRendered where the process fails.

    `time` in ISO 8601 is that of templates which write it; without one, they fail.
    """
    asked = {"template": template, "chats": conversations, "variables": variables, "time": time}
    try:
        done = subprocess.run(
            isolated([sys.executable, "-I", str(PROGRAM)]),
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotRendered(f"it is not done after {SECONDS} seconds") from error
    if done.returncode:
        raise NotRendered(next(reversed(done.stderr.strip().splitlines()), "it ended its process"))
    rendered = json.loads(done.stdout)
    return [text if isinstance(text, str) else NotRendered(text["error"]) for text in rendered]
