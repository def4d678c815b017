"""The program of the process that renders chat templates, in the sandbox in which tiers render them.

Of ours it imports that sandbox alone.
"""

import json
import resource
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Never

sys.path.insert(0, str(Path(__file__).parents[4]))
from functions.inference.prompt.sandbox import Clock, compiled, render

# A rendered conversation has some kilobytes.
MEMORY_BYTES, MAX_CHARACTERS = 1 << 30, 1 << 20
SECONDS = 5


def main() -> None:
    """Write a list to standard output: of each conversation its text, or `{"error": ...}` where the template fails."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    asked = json.load(sys.stdin)
    json.dump([_rendered(asked, chat) for chat in asked["chats"]], sys.stdout)


def _rendered(asked: Mapping[str, Any], chat: Any) -> Any:
    try:
        template = compiled(asked["template"], _clock(asked["time"]))
        text = render(template, {**asked["variables"], "messages": chat}, SECONDS)
    except Exception as error:  # the template's own program raises anything
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    if len(text) > MAX_CHARACTERS:
        return {"error": f"it makes {len(text):,} characters of a few words"}
    return text


def _clock(time: str | None) -> Clock:
    return (lambda: datetime.fromisoformat(time)) if time else _no_time


def _no_time() -> Never:
    raise ValueError("it writes the time, so no two days have the same answers")


if __name__ == "__main__":
    main()
