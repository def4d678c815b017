"""The front of a deployment whose requests have the most time, by what the deployment says of itself."""

from dataclasses import replace
from http.client import HTTPException

from contracts.limits import STREAM_CLIENT_TIMEOUT_S
from contracts.tasks import WRITING_TASKS
from turnout.client import Endpoint, request


def front_of(endpoint: Endpoint, model: str) -> Endpoint:
    """Return the endpoint at its front of streams if the model writes, which may take minutes.

    Whatever is not told leaves it as it is: the request itself is answered with the reason.
    """
    try:
        listed = request(endpoint, "GET", "/v1/models").body
    except (OSError, HTTPException, ValueError):
        return endpoint
    match listed:
        case {"data": [*models], "urls": {"streamed": str(url)}}:
            tasks = [one.get("task") for one in models if one.get("id") == model]
            if set(tasks) & set(WRITING_TASKS):
                # A domain of a deployment on a laptop leads elsewhere.
                return replace(
                    endpoint, url=endpoint.stream_url or url, timeout_s=STREAM_CLIENT_TIMEOUT_S
                )
    return endpoint
