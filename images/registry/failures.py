"""The problems that a registry's errors are, each with the next step."""

import re
from http.client import HTTPException
from urllib.error import HTTPError

from contracts.problems import Code, Problem
from images.errors import PushError
from images.registry.connection import MAX_DOCUMENT, Connection, read_document

ECR = re.compile(r"\d{12}\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
# Codes of the specification: of a repository that is not there, and of a digest that is not that of the bytes.
NO_REPOSITORY, WRONG_DIGEST = "NAME_UNKNOWN", "DIGEST_INVALID"


class UnexpectedAnswer(HTTPException):
    """An answer that the specification does not have, such as another digest than that of the bytes sent."""


def details(error: HTTPError) -> tuple[str, str]:
    """Return the code and the sentence of an error's body, empty where it has none."""
    try:
        found = read_document(error.read(MAX_DOCUMENT))["errors"][0]
        code, message = str(found.get("code") or ""), str(found.get("message") or "")
    except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError):
        return "", ""
    # A line of its own making must not be able to write to a terminal.
    return code, "".join(char for char in message if char.isprintable())[:200]


def push_error(connection: Connection, what: str, error: OSError | HTTPException) -> PushError:
    """Return the error of a push: what was being sent when it came, and how to go on."""
    where = f"{connection.host}/{connection.repository}"
    problem = (
        _refused(connection, what, error)
        if isinstance(error, HTTPError)
        else Problem(code=Code.REGISTRY_UNREACHABLE, message=_no_answer(what, error))
    )
    return PushError(where, [problem])


def _no_answer(what: str, error: OSError | HTTPException) -> str:
    if isinstance(error, UnexpectedAnswer):
        return f"{what}: {error}; deploy nothing from there: tell who runs the registry, or push to another one"
    reason = getattr(error, "reason", "") or error or type(error).__name__
    return f"{what}: the registry cannot be reached ({reason}); push again: what is there already is not sent"


def _refused(connection: Connection, what: str, error: HTTPError) -> Problem:
    code, detail = details(error)
    said = f"{what}: the registry answered {error.code} {detail or error.reason}".rstrip()
    kind, advice = Code.REGISTRY_REFUSED, "the registry's documentation has the reason"
    if code == NO_REPOSITORY or (error.code == 404 and not code):
        kind, advice = Code.REPOSITORY_MISSING, _making(connection)
    elif error.code in (401, 403):
        kind, advice = Code.REGISTRY_DENIED, _login(connection.host)
    elif error.code == 413:
        advice = "raise the largest request that the registry, or the proxy before it, takes"
    elif error.code in (412, 507) or "quota" in detail.lower():
        advice = "remove images there, or have the quota raised, and push again"
    elif error.code == 429:
        advice = "wait, and push again: what is there already is not sent"
    elif code == WRONG_DIGEST:
        advice = "the bytes changed on the way or on the disk: build the image again, and push"
    elif error.code >= 500:
        kind = Code.REGISTRY_UNREACHABLE
        advice = "push again: what is there already is not sent"
    return Problem(code=kind, message=f"{said}; {advice}")


def _making(connection: Connection) -> str:
    if found := ECR.fullmatch(connection.host):
        name = f"--region {found['region']} --repository-name {connection.repository}"
        return f"make it by `aws ecr create-repository {name}`"
    return "make the repository there, or correct what --push names"


def _login(host: str) -> str:
    if ECR.fullmatch(host):
        return (
            "check whose credentials `aws sts get-caller-identity` names, and that they may push to the repository "
            "(the managed policy AmazonEC2ContainerRegistryPowerUser)"
        )
    return f"`docker login {host}` keeps the credentials of one who may push there"
