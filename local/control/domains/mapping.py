"""The API that a request to a custom domain goes to, by the longest base path that its path begins with.

https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html
"""

from dataclasses import dataclass
from typing import Any

from moto.apigatewayv2.models import apigatewayv2_backends

from local.control.data_plane import ACCOUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """The API and stage behind a custom domain, and the path without the base path; no API has an empty id."""

    api_id: str = ""
    stage: str = ""
    path: str = "/"


def is_custom(name: str) -> bool:
    """Return True for a name that a stack has created."""
    return any(name in backend.domain_names for backend in _backends())


def mapped(host: str, path: str) -> Mapped | None:
    """Return where a request to a custom domain goes; None for one to another host."""
    name = host.partition(":")[0].lower()
    if not is_custom(name):
        return None
    found = [
        Mapped(api_id=one.api_id, stage=one.stage, path=path[len(base) :] or "/")
        for backend in _backends()
        for one in sorted(backend.get_api_mappings(name), key=lambda m: -len(m.api_mapping_key))
        if f"{path}/".startswith(f"{(base := _base(one))}/")
    ]
    return found[0] if found else Mapped()


def _base(mapping: Any) -> str:
    return f"/{mapping.api_mapping_key}" if mapping.api_mapping_key else ""


def _backends() -> list[Any]:
    return list(apigatewayv2_backends[ACCOUNT].values())
