"""The application of the router's image, made from the environment and routes.json.

It is the only module of the router that reads the environment.
"""

import logging
import os
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

from botocore.config import Config
from starlette.applications import Starlette

from contracts.limits import (
    GATEWAY_TIMEOUT_S,
    REQUEST_S,
    STREAM_INTEGRATION_TIMEOUT_S,
    STREAM_REQUEST_S,
)
from contracts.routes import Routes
from contracts.tasks import Tier
from functions.router.answering.sampling import Sampling
from functions.router.http.app import create_app
from functions.router.http.front import STREAMED, WHOLE, Front
from functions.router.targets.backends import LambdaBackend, SageMakerBackend
from functions.router.targets.drift import drift_keys, watched
from functions.router.targets.health import States
from functions.router.targets.release_registry import (
    Addresses,
    ParameterRegistry,
    own_address,
)

# One line of JSON per request; Lambda's own log handler would put a level and a request id in front of it.
_out = logging.StreamHandler(sys.stdout)
_out.setFormatter(logging.Formatter("%(message)s"))
for _name in ("turnout.access", "turnout.router"):
    logging.getLogger(_name).addHandler(_out)
    logging.getLogger(_name).setLevel(logging.INFO)
    logging.getLogger(_name).propagate = False


@cache
def session() -> Any:
    """Return botocore's session, imported with the first client; boto3 would add its resources and transfers to it."""
    from botocore.session import get_session

    return get_session()


def client(service: str, config: Config) -> Any:
    return session().create_client(service, config=config)


def client_beside(service: str, config: Config) -> Any:
    """Return a client that a thread makes beside others: of a session of its own, since one makes one at a time."""
    from botocore.session import get_session

    return get_session().create_client(service, config=config)


def application(*, streams: bool) -> Starlette:
    """Return the application behind the front that `streams`, or behind the other one."""
    routes = Routes.read(Path(os.environ.get("TURNOUT_ROUTES", "/var/task/routes.json")))

    def parameters() -> Any:
        # Two tries of 3 s at most: a list of models is answered without the registry rather than late.
        config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
        return client_beside("ssm", config)

    registry = ParameterRegistry(routes.registry, parameters)
    gpu = SageMakerBackend(client, Addresses(registry).of)
    cpu = LambdaBackend(client, partial(own_address, registry))
    urls = {WHOLE: os.environ.get("TURNOUT_URL"), STREAMED: os.environ.get("TURNOUT_STREAM_URL")}
    return create_app(
        routes,
        {Tier.CPU: cpu, Tier.GPU: gpu},
        registry,
        Path(os.environ.get("TURNOUT_DOCS", "/var/task/docs")),
        sampling=Sampling(routes.sampler, cpu),
        front=Front(
            streams=streams,
            longest_s=STREAM_REQUEST_S if streams else REQUEST_S,
            gateway_s=STREAM_INTEGRATION_TIMEOUT_S if streams else GATEWAY_TIMEOUT_S,
            urls={kind: url for kind, url in urls.items() if url},
        ),
        **(shared(routes) if routes.states else {}),
    )


def shared(routes: Routes) -> dict[str, Any]:
    """Return what the shared rows of a deployment that has a GPU tier say, which are read from now on."""
    from functions.router.targets.shared_rows import SharedRows, TableStore
    from functions.router.targets.sharing import SharedStates, shared_keys

    def make() -> Any:
        # Two tries within 4 s.
        config = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 2})
        return client_beside("dynamodb", config)

    keys = [*shared_keys(routes), *drift_keys(routes)]
    rows = SharedRows(TableStore(routes.states, make), keys)
    # While the rest of the start goes on, so that the first request may know of a tier that sleeps.
    rows.refresh()
    return {"states": States(shared=SharedStates(rows)), "drift": partial(watched, rows.get)}
