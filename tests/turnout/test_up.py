"""The lines in which `turnout up` names an endpoint once it is up."""

import shlex
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from contracts.specs import Deployment, Domain, ModelSpec
from contracts.tasks import Task
from turnout.client import Endpoint

MODEL = ModelSpec(name="m", source=Path("nowhere"), task=Task.FILL_MASK, eval=Path("nowhere"))
ENDPOINT = Endpoint(url="https://localhost:8443", key="k", ca_file="/tmp/a b/ca.pem")
DOMAIN = Domain(name="api.example.org", hosted_zone_id="Z1")


@pytest.mark.system
def test_a_domain_is_given_as_a_line_to_paste_and_as_a_document() -> None:
    # Imports moto, which takes seconds; runs of other groups do without.
    from turnout.up.running import describe, show

    deployment = Deployment(domain=DOMAIN, models=(MODEL,))
    console = Console(file=StringIO(), width=60)
    show(ENDPOINT, deployment, console)
    assert isinstance(console.file, StringIO)
    (line,) = (x for x in console.file.getvalue().splitlines() if x.startswith("by its domain: "))
    assert shlex.split(line.removeprefix("by its domain: ")) == [
        "curl",
        "--cacert",
        "/tmp/a b/ca.pem",
        "--connect-to",
        "api.example.org:443:localhost:8443",
        "https://api.example.org/health",
    ]
    domain = describe(ENDPOINT, deployment)["domain"]
    assert (domain["url"], domain["stream_url"]) == ("https://api.example.org", None)
    assert describe(ENDPOINT, Deployment(models=(MODEL,)))["domain"] is None
