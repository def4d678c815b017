"""The program of the process that renders chat templates, in Jinja's sandbox; it imports nothing of ours.

The sandbox has what transformers adds to it:
https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/utils/chat_template_utils.py
"""

import json
import resource
import sys
from typing import Any, Never

from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

# A rendered conversation has some kilobytes.
MEMORY_BYTES, MAX_CHARACTERS = 1 << 30, 1 << 20


def main() -> None:
    """Write the rendered conversations to standard output; exit with the reason where the template fails."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    asked = json.load(sys.stdin)
    try:
        template = _environment().from_string(asked["template"])
        rendered = [
            template.render(messages=chat, tools=None, documents=None, **asked["variables"])
            for chat in asked["chats"]
        ]
    except Exception as error:  # the template's own program raises anything
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    longest = max(map(len, rendered), default=0)
    if longest > MAX_CHARACTERS:
        sys.exit(f"it makes {longest:,} characters of a few words")
    json.dump(rendered, sys.stdout)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _time
    return environment


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(message: str) -> Never:
    raise ValueError(message)


def _time(form: str) -> Never:
    raise ValueError("it writes the time, so no two days have the same answers")


if __name__ == "__main__":
    main()
