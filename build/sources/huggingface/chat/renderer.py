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
    """Return the text of each conversation; raise NotRendered."""
    asked = {"template": template, "chats": conversations, "variables": variables}
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
    rendered: list[str] = json.loads(done.stdout)
    return rendered
