"""The access log of an API's stage, a line for each request in the stage's own format, as API Gateway writes it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
"""

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VARIABLE = re.compile(r"\$context\.([A-Za-z0-9.]+)")


class AccessLog:
    """A file for each API in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.Lock()

    def write(self, api: Any, values: Mapping[str, Any]) -> None:
        """Add a line with the values of one request to the log of each stage that has one."""
        for stage in api.stages.values():
            form = (stage.access_log_settings or {}).get("format")
            if form:
                with self.lock, (self.folder / f"{api.name}-access.log").open("a") as file:
                    file.write(f"{line(form, values)}\n")


def line(form: str, values: Mapping[str, Any]) -> str:
    """Return a format with its variables replaced by a request's values; by "-" where it has none."""
    return VARIABLE.sub(lambda found: str(values.get(found[1], "-")), form)
