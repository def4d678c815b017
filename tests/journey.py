"""What the end-to-end tests ask with, and what they hold every problem document to."""

import http.client
import json
import ssl
from urllib.parse import urlsplit

from turnout.client import Endpoint, Reply

INTENTS = "support-intent"


def raw(endpoint: Endpoint, body: bytes, path: str = f"/v1/models/{INTENTS}/predict") -> Reply:
    """Send bytes as they are; what is too large is answered before all of it was read."""
    url = urlsplit(endpoint.url)
    context = ssl.create_default_context(cafile=endpoint.ca_file)
    connection = http.client.HTTPSConnection(
        str(url.hostname), url.port, context=context, timeout=60
    )
    headers = {"Authorization": f"Bearer {endpoint.key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(status=answer.status, body=json.loads(text), ms=0, headers=found)
    finally:
        connection.close()


def assert_problem(reply: Reply, status: int, kind: str) -> None:
    """A problem document of ours, which says nothing of our code."""
    assert (reply.status, reply.body["type"]) == (status, f"urn:turnout:problem:{kind}")
    assert {name.lower(): value for name, value in reply.headers.items()}["content-type"] == (
        "application/problem+json"
    )
    assert reply.body["status"] == status
    assert reply.body["detail"]
    assert "Traceback" not in json.dumps(reply.body)
    assert ".py" not in json.dumps(reply.body)
