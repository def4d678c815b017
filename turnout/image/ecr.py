"""Credentials of Amazon's registries: a password that AWS hands out for 12 hours to who may push there."""

import base64
from collections.abc import Callable
from typing import Any

from contracts.problems import Code, Problem
from images.errors import PushError
from images.registry.connection import Credentials
from images.registry.failures import ECR


def _client(region: str) -> Any:
    # Importing it takes longer than every command that does not push.
    import boto3

    return boto3.Session(region_name=region).client("ecr")


def ecr_credentials(host: str, client: Callable[[str], Any] = _client) -> Credentials | None:
    """Return the credentials of an ECR registry, and None for another one; raise PushError if AWS hands none out."""
    found = ECR.fullmatch(host)
    if not found:
        return None
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = client(found["region"]).get_authorization_token()
    except (BotoCoreError, ClientError) as error:
        message = (
            f"AWS hands out no password for it ({error}); check whose credentials `aws sts get-caller-identity` "
            "names, and that they have ecr:GetAuthorizationToken"
        )
        raise PushError(host, [Problem(code=Code.REGISTRY_DENIED, message=message)]) from error
    token = answer["authorizationData"][0]["authorizationToken"]
    user, _, secret = base64.b64decode(token).decode().partition(":")
    return Credentials(user=user, secret=secret)
