"""Clients of AWS, and what they do not answer."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from contracts.errors import TurnoutError

Client = Any
Clients = Callable[[str], Client]
CREDENTIALS_STEP = "`aws configure`, or set AWS_PROFILE to a profile that has credentials"
# Two tries say within seconds that a region is wrong; a deployment that is deleted asks for more than AWS likes.
FEW, MANY = 2, 10
READ_S = 20.0
# To make an object of its parts S3 takes minutes:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
OBJECT_S = 600.0
# Codes of calls that AWS answers later, beside those with "Throttling" in them.
BUSY = ("TooManyRequestsException", "RequestLimitExceeded", "SlowDown")


class AwsRefused(TurnoutError):
    """AWS refuses a call, throttles it for too long, or cannot be reached."""

    code = "aws_refused"


def clients_in(
    region: str,
    attempts: int = FEW,
    local: Mapping[str, str] | None = None,
    read_s: float = READ_S,
) -> Clients:
    """Return a function from a service to its one client, which waits for an answer for `read_s` seconds.

    With the environment of a local cloud, to that cloud's.
    """
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=5,
        read_timeout=read_s,
        retries={"total_max_attempts": attempts, "mode": "standard"},
    )
    if local is None:
        session = boto3.Session(region_name=region)
        return cache(lambda service: session.client(service, config=config))
    session = boto3.Session(
        region_name=region,
        aws_access_key_id=local["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=local["AWS_SECRET_ACCESS_KEY"],
    )
    url = local["AWS_ENDPOINT_URL"]
    return cache(lambda service: session.client(service, config=config, endpoint_url=url))


def refusal(error: Exception) -> tuple[str, str]:
    """Return a message about an error of botocore, and the next step."""
    from botocore.exceptions import ClientError, NoCredentialsError

    if isinstance(error, ClientError):
        found = error.response.get("Error", {})
        message = f"{error.operation_name} was refused: {found.get('Message') or found.get('Code')}"
        code = found.get("Code", "")
        if "Throttl" in code or code in BUSY:
            return message, "wait a minute, and run it again"
        if "AccessDenied" in code or "Unauthorized" in code:
            return message, f"allow the action of {error.operation_name} to who runs this"
        return message, "look in the console, and run it again"
    if isinstance(error, NoCredentialsError):
        return str(error), CREDENTIALS_STEP
    return str(error), "check the network and the region"


@contextmanager
def answered() -> Iterator[None]:
    """Raise AwsRefused for what AWS refuses while the block runs."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        message, step = refusal(error)
        raise AwsRefused(f"{message}; {step}") from error


def code_of(error: Exception) -> str:
    """Return the code of a refused call, such as `ValidationError`; empty for other errors."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
