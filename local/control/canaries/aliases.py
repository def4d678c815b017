"""Aliases with two versions: which one a request gets, and the weights that Lambda refuses.

Its words are those that LocalStack's tests have recorded on AWS (`localstack/localstack`, provider of Lambda).
"""

from typing import Any

from moto.awslambda import models
from moto.awslambda.exceptions import LambdaClientError

from local.control.data_plane import data_plane

PLACE = "'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map"


class Invalid(LambdaClientError):  # type: ignore[misc]
    """Lambda's refusal of a request that does not fit its shape."""

    def __init__(self, at: str, constraint: str) -> None:
        found = f"1 validation error detected: Value '{at}' at {PLACE} {constraint}"
        super().__init__("ValidationException", found)


def extend() -> None:
    """Check the weights of an alias where it is created and updated."""
    create, update = models.LambdaBackend.create_alias, models.LambdaBackend.update_alias

    def create_alias(self: Any, **of: Any) -> Any:
        _check(self, of["function_name"], of["function_version"], of["routing_config"])
        return create(self, **of)

    def update_alias(self: Any, **of: Any) -> Any:
        named = of["function_version"] or self.get_alias(of["name"], of["function_name"])
        primary = getattr(named, "function_version", named)
        _check(self, of["function_name"], primary, of["routing_config"])
        return update(self, **of)

    models.LambdaBackend.create_alias = create_alias
    models.LambdaBackend.update_alias = update_alias


def weights_of(alias: Any) -> dict[str, float]:
    """Return the shares of an alias's requests by the versions other than its first, of which there is one at most."""
    return dict((alias.routing_config or {}).get("AdditionalVersionWeights") or {})


def chosen(alias: Any) -> str:
    """Return the version that a request to an alias gets: at random, by the weights, for each request anew."""
    for version, weight in weights_of(alias).items():
        if data_plane().random() < weight:
            return version
    return str(alias.function_version)


def _check(backend: Any, function: str, primary: str, routing: dict[str, Any] | None) -> None:
    weights = (routing or {}).get("AdditionalVersionWeights") or {}
    refused = models.InvalidParameterValueException
    if len(weights) > 1:
        raise refused("Number of items in AdditionalVersionWeights cannot be greater than 1")
    for version, weight in weights.items():
        at = f"{{{version}={weight}}}"
        if not 0 <= weight < 1:
            raise Invalid(
                at,
                "value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have "
                "value greater than or equal to 0.0, Member must not be null]",
            )
        if version == primary:
            raise refused(
                f"Invalid function version {primary}. Function version {primary} is already included in routing "
                "configuration."
            )
        if primary == "$LATEST":
            raise refused("$LATEST is not supported for an alias pointing to more than 1 version")
        if not version.isdigit():
            raise Invalid(
                at,
                "keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have "
                "length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+, Member "
                "must not be null]",
            )
        # It raises Lambda's error for a version that there is not.
        backend.get_function(function, version)
