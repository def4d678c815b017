"""Rules for what stays, and for what keeps other stacks from being changed or deleted."""

from collections.abc import Iterator

from stacks.rules.document import Document, as_list, within
from stacks.rules.endpoints import COMPONENT
from stacks.rules.finding import Finding
from stacks.rules.functions import ALIAS, FUNCTION, LOG_GROUP

RELEASE, PROBE = "AWS::SSM::Parameter", "Custom::TurnoutProbe"
KEPT = ("Retain", "RetainExceptOnCreate", "Snapshot")
POLICIES = ("DeletionPolicy", "UpdateReplacePolicy")
CUSTOM = ("Custom::", "AWS::CloudFormation::CustomResource")
# `Fn::GetStackOutput` is how the CDK refers to another stack weakly.
OF_OTHER_STACKS = ("Fn::ImportValue", "Fn::GetStackOutput")


def log_expires(stack: Document) -> Iterator[Finding]:
    """Require that logs expire: CloudWatch's default keeps them, and their price, for ever."""
    for name, group in stack.of(LOG_GROUP).items():
        if "RetentionInDays" not in group:
            message = "a log that never expires; set RetentionInDays"
            yield Finding(resource=name, place="RetentionInDays", message=message)


def kept_after_stack(stack: Document) -> Iterator[Finding]:
    """Forbid resources that stay when their stack goes: they cost, and with a name they break the next deployment."""
    for name, resource in stack.all.items():
        # A custom resource is no resource of AWS's: what is kept is only that its function is not asked to delete it.
        if resource["Type"].startswith(CUSTOM):
            continue
        for policy in POLICIES:
            if resource.get(policy) in KEPT:
                message = f"it is kept by {policy}; set Delete"
                yield Finding(resource=name, place=policy, message=message)


def shared_by_stacks(stack: Document) -> Iterator[Finding]:
    """Forbid exports and imports: while a stack imports a value, its exporter can neither change nor go."""
    for name, output in stack.template.get("Outputs", {}).items():
        if "Export" in output:
            message = "an export; compute the name in contracts.names where it is needed"
            yield Finding(resource=name, place="Export", message=message)
    for name, resource in stack.all.items():
        if any(key in value for value in within(resource) for key in OF_OTHER_STACKS):
            message = "a value of another stack; compute its name in contracts.names"
            yield Finding(resource=name, place="Properties", message=message)


def custom_resource_timeout(stack: Document) -> Iterator[Finding]:
    """Require a custom resource's timeout: CloudFormation waits an hour for a function that does not respond."""
    for name, resource in stack.all.items():
        if resource["Type"].startswith(CUSTOM) and "ServiceTimeout" not in resource["Properties"]:
            message = "no ServiceTimeout; set one beyond the timeout of its function"
            yield Finding(resource=name, place="ServiceTimeout", message=message)


def custom_resource_left(stack: Document) -> Iterator[Finding]:
    """Require that a custom resource of another stack's function is left: else no deletion ends once that has gone."""
    for name, resource in stack.all.items():
        if not resource["Type"].startswith(CUSTOM):
            continue
        here = stack.named(resource["Properties"].get("ServiceToken"), FUNCTION)
        if not here and resource.get("DeletionPolicy") != "Retain":
            message = "its function may go first; set DeletionPolicy to Retain"
            yield Finding(resource=name, place="DeletionPolicy", message=message)


def release_waits(stack: Document) -> Iterator[Finding]:
    """Require that a release is written, and a function probed, after what it names is in service.

    The version of a canary is probed, and written, before its alias moves.
    """
    serving = {*stack.of(ALIAS), *stack.of(COMPONENT)}
    first = set().union(*(before(stack, one) for one in serving))
    for name, resource in stack.all.items():
        if name in first or resource["Type"] not in (RELEASE, PROBE):
            continue
        if serving and not serving & before(stack, name):
            message = f"it does not wait for {', '.join(sorted(serving))}; add a dependency"
            yield Finding(resource=name, place="DependsOn", message=message)


def before(stack: Document, name: str) -> set[str]:
    """Return what a resource waits for, itself or by others."""
    waits = {*as_list(stack.all[name].get("DependsOn", []))}
    return waits.union(*(before(stack, other) for other in waits if other in stack.all))
