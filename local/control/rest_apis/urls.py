"""The URLs of REST APIs in templates, which are joined of AWS's own host names: here they are paths of this machine."""

import re
from typing import Any

from moto.cloudformation import parsing

from local.control.data_plane import data_plane

AWS = re.compile(r"https://(?P<id>[a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")


def extend() -> None:
    """Replace them wherever CloudFormation fills a template in: in outputs, and in what functions get."""
    clean = parsing.clean_json

    def clean_json(document: Any, resources: Any) -> Any:
        found = clean(document, resources)
        return AWS.sub(_here, found) if isinstance(found, str) else found

    parsing.clean_json = clean_json


def _here(found: re.Match[str]) -> str:
    return f"{data_plane().api_endpoint(found['id'])}/_aws/execute-api/{found['id']}"
