"""The application as API Gateway calls it."""

from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES
from mangum.types import ASGI

from contracts.errors import PROBLEM_JSON


def behind_gateway(app: ASGI) -> Mangum:
    """A Lambda handler. With a lifespan, Mangum would start and stop the application around every request."""
    return Mangum(app, lifespan="off", text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, PROBLEM_JSON])
