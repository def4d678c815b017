"""The evaluation of policy documents: one allow is needed, and one deny is enough.

moto's own evaluation takes `*` for the resource of nearly every call, and allows none of a policy that names resources.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from local.permissions.errors import NotEvaluated

Document = Mapping[str, Any]
Statement = Mapping[str, Any]


class Decision(StrEnum):
    """The outcome of an evaluation."""

    ALLOWED = "allowed"
    NOT_ALLOWED = "not allowed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as policies see it: who, the action, the ARN of the resource, and the keys of its context."""

    principal: str
    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


def decide(documents: Iterable[Document], call: Call) -> Decision:
    """Return the decision of all documents together; raise NotEvaluated for what has no meaning here."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in listed(document["Statement"])
        if applies(statement, call)
    }
    if "Deny" in effects:
        return Decision.DENIED
    return Decision.ALLOWED if "Allow" in effects else Decision.NOT_ALLOWED


def applies(statement: Statement, call: Call) -> bool:
    """Return true if a statement is about a call, whatever its effect."""
    return (
        _action(statement, call)
        and _resource(statement, call)
        and _principal(statement, call)
        and _conditions(statement.get("Condition", {}), dict(call.context))
    )


def listed(value: Any) -> list[Any]:
    """Return a value as the list that policies may abbreviate to its one item."""
    return list(value) if isinstance(value, list | tuple) else [value]


def _action(statement: Statement, call: Call) -> bool:
    # The names of services and actions have no case: reference_policies_elements_action.html.
    action = call.action.lower()
    if "NotAction" in statement:
        return not any(like(name.lower(), action) for name in listed(statement["NotAction"]))
    return any(like(name.lower(), action) for name in listed(statement["Action"]))


def _resource(statement: Statement, call: Call) -> bool:
    if "NotResource" in statement:
        return not any(like(arn, call.resource) for arn in listed(statement["NotResource"]))
    # A trust policy names no resource: it is about the role that it belongs to.
    arns = listed(statement.get("Resource", "*"))
    return any(like(arn, call.resource) for arn in arns)


def _principal(statement: Statement, call: Call) -> bool:
    # A policy of a role names no principal: it is about the role itself.
    if "NotPrincipal" in statement:
        raise NotEvaluated("the local cloud does not evaluate NotPrincipal; name the principals")
    named = statement.get("Principal", "*")
    if named == "*":
        return True
    return any(call.principal in listed(value) for value in named.values())


@functools.lru_cache(maxsize=4096)
def like(pattern: str, text: str) -> bool:
    """Return true if a text matches a pattern of `*` and `?`; raise NotEvaluated for a policy variable."""
    if "${" in pattern:
        raise NotEvaluated(
            f"the local cloud does not evaluate policy variables, as in {pattern}; write the value"
        )
    parts = {"*": ".*", "?": "."}
    whole = "".join(parts.get(letter) or re.escape(letter) for letter in pattern)
    return re.fullmatch(whole, text, re.DOTALL) is not None


def _same(wanted: str, value: str) -> bool:
    return wanted == value


def _same_without_case(wanted: str, value: str) -> bool:
    return wanted.lower() == value.lower()


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": _same,
    "StringLike": like,
    # Both forms have wildcards.
    "ArnEquals": like,
    "ArnLike": like,
    "Bool": _same_without_case,
}
NEGATIONS = {
    name.replace("Equals", "NotEquals").replace("Like", "NotLike"): name
    for name in COMPARISONS
    if name != "Bool"
}


def _conditions(conditions: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """Return true if every key of every operator holds."""
    # The names of keys have no case.
    known = {key.lower(): value for key, value in context.items()}
    return all(
        _holds(operator, known.get(key.lower()), [str(one) for one in listed(wanted)])
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, value: str | None, wanted: list[str]) -> bool:
    name, optional = operator.removesuffix("IfExists"), operator.endswith("IfExists")
    positive = NEGATIONS.get(name, name)
    if positive not in COMPARISONS:
        known = ", ".join([*COMPARISONS, *NEGATIONS])
        raise NotEvaluated(
            f"the local cloud does not evaluate the condition {operator}; it knows {known}"
        )
    if value is None:
        # A key that a call does not have is equal to nothing.
        return optional or name in NEGATIONS
    found = any(COMPARISONS[positive](one, value) for one in wanted)
    return found is (name not in NEGATIONS)
