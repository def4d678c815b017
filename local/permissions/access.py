"""The roles of one cloud: their credentials, the check of each call that is made with them, and the record of all."""

import hashlib
import json
import threading
from base64 import b32encode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.permissions.errors import AccessDenied, NotEvaluated
from local.permissions.operations import Needed, Request, Signed, name_of, needed
from local.permissions.policies import Call, Decision, Document, decide

# Whoever runs the CDK, and the services that act for them: not a role of a stack.
DEPLOYER = "the deployer"
ASSUME = "sts:AssumeRole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A call that was made: by which role (or the deployer), of what, and whether it was allowed."""

    caller: str
    action: str
    resource: str
    allowed: bool = True


class Access:
    """The check of all calls that are made with the roles of one cloud.

    The deployer may do everything: the policies that a stack brings along are those of its roles alone.
    """

    def __init__(self, account: str, *, report: Callable[[str], None]) -> None:
        self.account, self.report = account, report
        self.lock = threading.Lock()
        self.roles: dict[str, str] = {}
        # By the ARN that callers name, and by statement id.
        self.function_policies: dict[str, dict[str, Document]] = {}
        # Each call is there once, with its number: a cloud may serve for days.
        self.made: Counter[Made] = Counter()

    def credentials(self, role: str) -> dict[str, str]:
        """Return the variables of an environment whose calls are made with a role."""
        digest = hashlib.sha256(role.encode()).digest()
        # The form of a role's temporary keys: reference_identifiers.html#identifiers-unique-ids.
        key = f"ASIA{b32encode(digest)[:16].decode()}"
        self.roles[key] = role
        return {"AWS_ACCESS_KEY_ID": key}

    def check_request(self, request: Request, signed: Signed) -> None:
        """Check a request of a role and record it; raise AccessDenied or NotEvaluated."""
        role = self.roles.get(signed.key)
        if role is None:
            name = name_of(request, signed.service)
            self._record(Made(caller=DEPLOYER, action=name, resource="*"))
            return
        for one in needed(request, signed.service):
            self.check(role, one.action, one.resource)

    def check(self, role: str, action: str, resource: str) -> None:
        """Check one call of a role and record it; raise AccessDenied."""
        decision = decide(
            identity_policies(role), Call(principal=role, action=action, resource=resource)
        )
        allowed = decision is Decision.ALLOWED
        self._record(Made(caller=role, action=action, resource=resource, allowed=allowed))
        if not allowed:
            because = (
                f"no identity-based policy allows the {action} action"
                if decision is Decision.NOT_ALLOWED
                else "of an explicit deny in an identity-based policy"
            )
            raise AccessDenied(
                f"User: {role} is not authorized to perform: {action} on resource: {resource} because {because}"
            )

    def refusals(self, role: str, needs: Iterable[Needed]) -> list[str]:
        """Check all calls that a service makes with a role, and return AWS's words for those that are refused."""
        problems = []
        for one in needs:
            try:
                self.check(role, one.action, one.resource)
            except (AccessDenied, NotEvaluated) as error:
                problems.append(str(error))
        return problems

    def check_trust(self, role: str, service: str, context: Mapping[str, str]) -> None:
        """Check that a service may assume a role, and record it; raise AccessDenied."""
        call = Call(
            principal=service, action=ASSUME, resource=role, context=tuple(sorted(context.items()))
        )
        allowed = decide([trust_policy(role)], call) is Decision.ALLOWED
        self._record(Made(caller=service, action=ASSUME, resource=role, allowed=allowed))
        if not allowed:
            raise AccessDenied(f"the role {role} cannot be assumed by {service}")

    def check_function(self, function: str, principal: str, source: str) -> None:
        """Check that a service may invoke what an ARN names, for a source, and record it; raise AccessDenied."""
        action = "lambda:InvokeFunction"
        context = (("aws:SourceAccount", self.account), ("aws:SourceArn", source))
        call = Call(principal=principal, action=action, resource=function, context=context)
        documents = [{"Statement": list(self.function_policies.get(function, {}).values())}]
        allowed = decide(documents, call) is Decision.ALLOWED
        self._record(Made(caller=principal, action=action, resource=function, allowed=allowed))
        if not allowed:
            raise AccessDenied(
                f"{principal} may not invoke {function} for {source}: its permission is missing"
            )

    def _record(self, made: Made) -> None:
        with self.lock:
            self.made[made] += 1


def identity_policies(role: str) -> list[Document]:
    """Return the policies of a role, its own and those attached to it; raise NotEvaluated if there is no such role."""
    found = _role(role)
    attached = [
        version.document
        for policy in found.managed_policies.values()
        for version in policy.versions
        if version.is_default
    ]
    return [_document(text) for text in [*found.policies.values(), *attached]]


def trust_policy(role: str) -> Document:
    """Return the policy of who may assume a role; raise NotEvaluated if there is no such role."""
    return _document(_role(role).assume_role_policy_document)


def _document(text: Any) -> Document:
    document: Document = json.loads(text) if isinstance(text, str) else text
    return document


def _role(arn: str) -> Any:
    from moto.iam.models import iam_backends

    account = arn.split(":")[4] if arn.startswith("arn:") else ""
    for role in list(iam_backends[account]["aws"].roles.values()) if account else ():
        if role.arn == arn:
            return role
    raise NotEvaluated(f"there is no role {arn} any more; deploy its stack again")
