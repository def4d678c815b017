"""The front of a deployment whose requests have the most time, by what the deployment says of itself."""

from dataclasses import replace
from http.client import HTTPException
from typing import Any

from contracts.limits import STREAM_CLIENT_TIMEOUT_S
from contracts.tasks import WRITING_TASKS
from turnout.calling import find_endpoint
from turnout.client import Endpoint, request


def find_front(model: str, url: str | None, key: str | None, ca_file: str | None) -> Endpoint:
    """Return the endpoint of `find_endpoint` at the front that a model's requests go to; raise CallError."""
    return front_of(find_endpoint(url, key, ca_file), model)


def front_of(endpoint: Endpoint, model: str) -> Endpoint:
    """Return the endpoint at its front of streams if the model writes, which may take minutes.

    Whatever is not told leaves it as it is: the request itself is answered with the reason.
    """
    match _said(endpoint, "/v1/models"):
        case {"data": [*models], "urls": {"streamed": str(url)}}:
            tasks = [one.get("task") for one in models if one.get("id") == model]
            # A domain of a deployment on a laptop leads elsewhere.
            streams = replace(endpoint, url=endpoint.stream_url or url)
            # Nothing leads to a domain before its record is there.
            if set(tasks) & set(WRITING_TASKS) and _said(streams, "/health") is not None:
                return replace(streams, timeout_s=STREAM_CLIENT_TIMEOUT_S)
    return endpoint


def _said(endpoint: Endpoint, path: str) -> Any:
    """Return the body of an answer; None where there is none."""
    try:
        return request(endpoint, "GET", path).body
    except (OSError, HTTPException, ValueError):
        return None
