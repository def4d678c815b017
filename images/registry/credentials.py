"""Credentials for a registry, as Docker keeps them: in its config.json, or with a credential helper that this names.

https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.problems import Code, Problem
from images.errors import PushError
from images.registry.connection import TIMEOUT_S, Credentials

# The names that Docker Hub's credentials are kept under, beside that of its registry.
HUB = "registry-1.docker.io"
HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io")
# A helper gives this name with a secret that is an identity token.
IDENTITY_TOKEN = "<token>"
# The words of a helper that has none, which ends with 1 as for an error.
# https://github.com/docker/docker-credential-helpers/blob/v0.9.3/credentials/error.go
NOT_FOUND = "credentials not found"


def config_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the place of Docker's config.json."""
    folder = environment.get("DOCKER_CONFIG", "")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


def docker_credentials(host: str, config: Path) -> Credentials | None:
    """Return what `docker login HOST` kept, and None if there is nothing; raise PushError for what cannot be read."""
    try:
        document = json.loads(config.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unusable(host, f"{config} cannot be read ({error})") from error
    try:
        return _from(host, document)
    except (AttributeError, TypeError, ValueError) as error:
        raise _unusable(host, f"{config} is not as `docker login` writes it") from error


def _from(host: str, document: Mapping[str, Any]) -> Credentials | None:
    """Return the credentials of a host: its own helper's, then the helper's of all hosts, then those in the file."""
    keys = (host, f"https://{host}", f"https://{host}/v1/", *(HUB_KEYS if host == HUB else ()))
    helpers, stored = document.get("credHelpers") or {}, document.get("auths") or {}
    if helper := next((helpers[key] for key in keys if key in helpers), ""):
        return _of_helper(str(helper), next(key for key in keys if key in helpers))
    if store := document.get("credsStore"):
        asked = HUB_KEYS[0] if host == HUB else host
        if found := _of_helper(str(store), asked):
            return found
    found = next((stored[key] for key in keys if key in stored), None)
    return _of_entry(found) if found else None


def _of_entry(entry: Mapping[str, str]) -> Credentials | None:
    """Return the credentials of an entry of `auths`; none are in one whose secret a helper keeps."""
    user, secret = entry.get("username", ""), entry.get("password", "")
    if auth := entry.get("auth", ""):
        # binascii.Error and UnicodeDecodeError are ValueErrors.
        user, _, secret = base64.b64decode(auth, validate=True).decode().partition(":")
    token = entry.get("identitytoken", "")
    if not (token or user):
        return None
    return Credentials(user=user, secret=secret.rstrip("\0"), identity_token=token)


def _of_helper(name: str, server: str) -> Credentials | None:
    """Ask a helper: the server on its standard input, a JSON object on its standard output.

    https://github.com/docker/docker-credential-helpers/blob/v0.9.3/README.md
    """
    program = f"docker-credential-{name}"
    try:
        asked = subprocess.run(
            [program, "get"],
            input=server,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{program}, which Docker's config.json names, cannot be run ({error})"
        raise _unusable(server, message) from error
    if asked.returncode:
        said = (asked.stdout or asked.stderr).strip()
        if NOT_FOUND in said:
            return None
        raise _unusable(server, f"{program} failed: {said[:200]}")
    try:
        answer = json.loads(asked.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, LookupError, TypeError):
        # Not chained: the error of the JSON has the text with the secret.
        raise _unusable(server, f"{program} answered no Username and Secret") from None
    if user == IDENTITY_TOKEN:
        return Credentials(identity_token=secret)
    return Credentials(user=user, secret=secret)


def _unusable(where: str, message: str) -> PushError:
    advice = "mend it, or write it anew by `docker login`"
    return PushError(where, [Problem(code=Code.REGISTRY_DENIED, message=f"{message}; {advice}")])
