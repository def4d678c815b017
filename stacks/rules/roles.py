"""Rules for roles: what they may do, and that they may do it in time."""

import re
from collections.abc import Iterator

from stacks.rules.document import Document, Json, as_list, text, within
from stacks.rules.finding import Finding
from stacks.rules.functions import FUNCTION
from stacks.rules.images import MODEL

ROLE, POLICY = "AWS::IAM::Role", "AWS::IAM::Policy"
_FUNCTION_ARN = re.compile(r"arn:[^:]+:lambda:[^:]*:[^:]*:function:[^:]+")
_SAGEMAKER_ARN = re.compile(r"arn:[^:]+:sagemaker:[^:]*:[^:]*:(?P<kind>[a-z-]+)/(?P<name>.+)")
KINDS = ("endpoint", "inference-component")
TAKEN_ON = {
    FUNCTION: ("Role", "lambda.amazonaws.com"),
    MODEL: ("ExecutionRoleArn", "sagemaker.amazonaws.com"),
    "AWS::CodeDeploy::DeploymentGroup": ("ServiceRoleArn", "codedeploy.amazonaws.com"),
}
PULL = {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:GetAuthorizationToken"}


def _policies(stack: Document, role: str) -> dict[str, Json]:
    return {
        name: policy
        for name, policy in stack.of(POLICY).items()
        if any(stack.named(one, ROLE) == role for one in policy.get("Roles", []))
    }


def _statements(policy: Json) -> list[Json]:
    return as_list(policy["PolicyDocument"]["Statement"])


def statements_of(stack: Document, role: str) -> list[Json]:
    """Return the statements of a role's policies."""
    return [one for policy in _policies(stack, role).values() for one in _statements(policy)]


def _actions(stack: Document, role: str) -> set[str]:
    return {
        action
        for policy in _policies(stack, role).values()
        for statement in _statements(policy)
        for action in as_list(statement["Action"])
    }


def policies_first(stack: Document) -> Iterator[Finding]:
    """Require that what names a role waits for its policies: else it starts, or is checked, before it may act."""
    for name, resource in stack.all.items():
        named = {
            role
            for value in within(resource.get("Properties", {}))
            if "Fn::GetAtt" in value and (role := stack.named(value, ROLE))
        }
        for role in sorted(named):
            missing = _policies(stack, role).keys() - set(as_list(resource.get("DependsOn", [])))
            if missing:
                message = f"it does not wait for {', '.join(sorted(missing))}; add a dependency on the role"
                yield Finding(resource=name, place="DependsOn", message=message)


def policy_of_alias(stack: Document) -> Iterator[Finding]:
    """Require the alias in what a role may invoke: a grant on the function does not cover the alias that is asked."""
    for name, policy in stack.of(POLICY).items():
        for statement in _statements(policy):
            if "lambda:InvokeFunction" not in as_list(statement["Action"]):
                continue
            for arn in as_list(statement["Resource"]):
                if stack.named(arn, FUNCTION) or _FUNCTION_ARN.fullmatch(text(arn)):
                    message = f"{text(arn)} is no alias; end the ARN with its name"
                    yield Finding(resource=name, place="PolicyDocument", message=message)


def policy_of_component(stack: Document) -> Iterator[Finding]:
    """Require both an endpoint and its component, in lower case: SageMaker asks for both, and writes ARNs so.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemakerai.html
    """
    for name, policy in stack.of(POLICY).items():
        for statement in _statements(policy):
            if "sagemaker:InvokeEndpoint" not in as_list(statement["Action"]):
                continue
            arns = [_SAGEMAKER_ARN.fullmatch(text(a)) for a in as_list(statement["Resource"])]
            found = {kind: {a["name"] for a in arns if a and a["kind"] == kind} for kind in KINDS}
            if found["endpoint"] != found["inference-component"] or not all(arns):
                message = "an endpoint without its component, or the reverse; allow both"
                yield Finding(resource=name, place="PolicyDocument", message=message)
            elif any(one != one.lower() for one in found["endpoint"]):
                message = "an ARN with capitals, which SageMaker writes in lower case; do so"
                yield Finding(resource=name, place="PolicyDocument", message=message)


def role_trusted(stack: Document) -> Iterator[Finding]:
    """Require that a role trusts the service that takes it on, by a name that no schema checks."""
    for kind, (place, service) in TAKEN_ON.items():
        for name, properties in stack.of(kind).items():
            role = stack.named(properties.get(place), ROLE)
            trusted = (
                {
                    one
                    for statement in stack.of(ROLE)[role]["AssumeRolePolicyDocument"]["Statement"]
                    for one in as_list(statement["Principal"].get("Service", []))
                }
                if role
                else {service}
            )
            if service not in trusted:
                message = f"its role trusts {', '.join(sorted(trusted))}; name {service}"
                yield Finding(resource=name, place=place, message=message)


def role_pulls_image(stack: Document) -> Iterator[Finding]:
    """Require that a model's role may pull: CreateModel checks that, with an error that does not name the action."""
    for name, model in stack.of(MODEL).items():
        role = stack.named(model.get("ExecutionRoleArn"), ROLE)
        missing = PULL - _actions(stack, role) if role else set()
        if missing:
            message = f"its role lacks {', '.join(sorted(missing))}; grant a pull of the image"
            yield Finding(resource=name, place="ExecutionRoleArn", message=message)


def trust_narrowed(stack: Document) -> Iterator[Finding]:
    """Require that a service takes a role on for this account alone: else another account may have it do so.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    for name, role in stack.of(ROLE).items():
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            keys = {key for test in statement.get("Condition", {}).values() for key in test}
            if "Service" in statement["Principal"] and "aws:SourceAccount" not in keys:
                message = "a trust without aws:SourceAccount; make it by stacks.function.service"
                yield Finding(resource=name, place="AssumeRolePolicyDocument", message=message)


def network_isolated(stack: Document) -> Iterator[Finding]:
    """Require a container without network: its model is in its image, and nothing of it has to leave."""
    for name, model in stack.of(MODEL).items():
        if not model.get("EnableNetworkIsolation"):
            message = "a container that reaches the internet; set EnableNetworkIsolation"
            yield Finding(resource=name, place="EnableNetworkIsolation", message=message)
