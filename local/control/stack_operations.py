"""Stack operations in dependency order, with events, and rolled back when a step fails.

moto applies changes in three groups (removals, additions, modifications), so a new function version would be cut from
the old code; and it cannot roll back.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from graphlib import TopologicalSorter
from typing import Any

from moto.cloudformation import models, parsing

from local.control.custom import CustomFailed

log = logging.getLogger("turnout.local")
# `${!Name}` in Fn::Sub is the text `${Name}` and no reference.
SUB = re.compile(r"\$\{([\w.]+)\}")


class StepFailed(Exception):
    """One resource could not be created, updated or deleted."""


def references(value: Any) -> Iterator[str]:
    """Yield the logical ids that a part of a template refers to."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref" and isinstance(item, str):
                yield item
            elif key == "Fn::GetAtt":
                yield item[0] if isinstance(item, list) else item.split(".")[0]
            elif key == "Fn::Sub":
                text = item if isinstance(item, str) else item[0]
                yield from (name.split(".")[0] for name in SUB.findall(text))
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def _needed(resource: dict[str, Any]) -> set[str]:
    """Return the names that a resource refers to or depends on."""
    depends = resource.get("DependsOn", [])
    named = {depends} if isinstance(depends, str) else set(depends)
    return named | set(references(resource.get("Properties", {})))


def ordered(resources: dict[str, Any]) -> list[str]:
    """Return logical ids in topological order: each after all that it refers to or depends on."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, resource in resources.items():
        # Sorted, because the order of a set changes from process to process.
        sorter.add(name, *sorted(_needed(resource) & resources.keys()))
    return list(sorter.static_order())


def add_event(stack: Any, name: str, kind: str, status: str, reason: str | None = None) -> None:
    resource = stack.resource_map._parsed_resources.get(name)
    event = models.Event(
        stack_id=stack.stack_id,
        stack_name=stack.name,
        logical_resource_id=name,
        physical_resource_id=str(getattr(resource, "physical_resource_id", "")),
        resource_type=kind,
        resource_status=status,
        resource_status_reason=reason,
        resource_properties=None,
    )
    stack.events.append(event)


def step(stack: Any, name: str, resource: Any, operation: str, act: Callable[[], Any]) -> None:
    """Apply one action to one resource, with its events; raise StepFailed."""
    kind = resource["Type"]
    add_event(stack, name, kind, f"{operation}_IN_PROGRESS")
    try:
        act()
    # The service's own error classes are too many to list, and any of them is the reason of an event.
    except Exception as error:
        reason = str(getattr(error, "message", None) or error) or type(error).__name__
        add_event(stack, name, kind, f"{operation}_FAILED", reason)
        log.debug("%s %s failed", kind, name, exc_info=True)
        raise StepFailed(f"{kind} {name}: {reason}") from error
    add_event(stack, name, kind, f"{operation}_COMPLETE")


def _condition_holds(resources: Any, resource: Any) -> bool:
    condition = resource.get("Condition")
    return not condition or bool(resources.lazy_condition_map[condition])


def apply(stack: Any, template: dict[str, Any], parameters: dict[str, Any]) -> None:
    """Bring a stack's resources to the state of a template; raise StepFailed half-way."""
    resources = stack.resource_map
    old = dict(resources._resource_json_map) if resources._template else {}
    # The difference has to be computed before the new template replaces the old one.
    diff = resources.build_resource_diff(template, parameters) if old else None
    _load(stack, template, parameters)
    new = template["Resources"]
    for name in ordered(new):
        if not _condition_holds(resources, new[name]):
            continue
        if name not in resources._parsed_resources:
            step(stack, name, new[name], "CREATE", partial(_create, resources, name))
        elif diff and (name in diff["Modify"] or _refers(new[name], resources)):
            step(stack, name, new[name], "UPDATE", partial(_update, resources, new, name))
    # Removals come last, as in the cleanup of CloudFormation: by then nothing refers to them.
    for name in reversed(ordered(old)):
        if name not in new and name in resources._parsed_resources:
            _delete(stack, old, name)


def _refers(resource: Any, resources: Any) -> bool:
    """Return whether the resource refers to one that this update has replaced."""
    # A replaced resource has another physical id, which all that refer to it have to get.
    return bool(resources.replaced & set(references(resource.get("Properties", {}))))


def _load(stack: Any, template: dict[str, Any], parameters: dict[str, Any]) -> None:
    resources = stack.resource_map
    resources.replaced = set()
    resources._template = template
    resources._resource_json_map = template["Resources"]
    resources.input_parameters = parameters
    resources.resolved_parameters = {}
    resources.load()
    resources.tags["aws:cloudformation:stack-name"] = stack.name
    resources.tags["aws:cloudformation:stack-id"] = stack.stack_id


def _create(resources: Any, name: str) -> None:
    # moto creates a resource when it is first looked up.
    try:
        resources[name]
    except CustomFailed as error:
        # What a failed creation may have left is asked to be deleted when the stack is rolled back.
        # https://github.com/aws/aws-cdk/pull/5525
        resources._parsed_resources[name] = error.made
        raise


def _update(resources: Any, new: dict[str, Any], name: str) -> None:
    before = resources._parsed_resources[name]
    identity = getattr(before, "physical_resource_id", None)
    changed = parsing.parse_and_update_resource(
        name,
        new[name],
        resources,
        account_id=resources._account_id,
        region_name=resources._region_name,
    )
    if changed is not None:
        resources._parsed_resources[name] = changed
        if getattr(changed, "physical_resource_id", None) != identity:
            resources.replaced.add(name)


def _delete(stack: Any, described: dict[str, Any], name: str) -> None:
    """Delete a resource, or leave it where its policy says so, with its events; raise StepFailed."""
    resources, template = stack.resource_map, described[name]
    resource = resources._parsed_resources[name]
    policy = template.get("DeletionPolicy")
    if policy == "Retain" or (
        policy == "RetainExceptOnCreate" and stack.status == "DELETE_IN_PROGRESS"
    ):
        add_event(stack, name, template["Type"], "DELETE_SKIPPED")
    elif not isinstance(resource, str):
        act = partial(resources._delete_resource, resource, template)
        step(stack, name, template, "DELETE", act)
    resources._parsed_resources.pop(name, None)


def _remove_all(stack: Any) -> None:
    """Delete every resource that none is left to depend on; raise StepFailed if one cannot be deleted."""
    resources = stack.resource_map
    described = resources._resource_json_map
    failures: list[StepFailed] = []
    in_use: set[str] = set()
    for name in reversed(ordered(described)):
        if resources._parsed_resources.get(name) is None:
            continue
        if name not in in_use:
            try:
                _delete(stack, described, name)
                continue
            except StepFailed as error:
                failures.append(error)
        in_use |= _needed(described[name])
    # moto would create what is gone, or failed, when somebody asks for the stack's resources.
    left = [name for name in described if resources._parsed_resources.get(name) is not None]
    resources._resource_json_map = {name: described[name] for name in left}
    if failures:
        raise StepFailed("; ".join(str(error) for error in failures))


def execute(change_set: Any) -> None:
    """Run a change set in a thread, as CloudFormation does; the caller polls."""
    stack = change_set.stack
    operation = change_set.change_set_type
    change_set.execution_status = "EXECUTE_IN_PROGRESS"
    stack.status = f"{operation}_IN_PROGRESS"
    stack._add_stack_event(stack.status, resource_status_reason="User Initiated")
    run = _create_stack if operation == "CREATE" else _update_stack
    threading.Thread(target=run, args=(stack, change_set), daemon=True).start()


def _finish(stack: Any, status: str, reason: str | None = None) -> None:
    stack._add_stack_event(status, resource_status_reason=reason)
    stack.status_reason = reason
    stack.status = status


def _create_stack(stack: Any, change_set: Any) -> None:
    try:
        stack.template = change_set.template
        stack._parse_template()
        apply(stack, change_set.template_dict, change_set.parameters)
        stack.output_map = stack._create_output_map()
        _finish(stack, "CREATE_COMPLETE")
    # Nobody waits for this thread: a failure has to become the stack's status, for which the CDK polls.
    except Exception as error:
        stack._add_stack_event("ROLLBACK_IN_PROGRESS", resource_status_reason=str(error))
        stack.status = "ROLLBACK_IN_PROGRESS"
        _roll_back(stack, lambda: _remove_all(stack), "ROLLBACK", error)


def _update_stack(stack: Any, change_set: Any) -> None:
    before = stack.template, dict(stack.parameters)
    try:
        apply(stack, change_set.template_dict, change_set.parameters)
        stack.template, stack.parameters = change_set.template, change_set.parameters
        stack._parse_template()
        stack.output_map = stack._create_output_map()
        _finish(stack, "UPDATE_COMPLETE")
    except Exception as error:
        stack._add_stack_event("UPDATE_ROLLBACK_IN_PROGRESS", resource_status_reason=str(error))
        stack.status = "UPDATE_ROLLBACK_IN_PROGRESS"
        # A rollback is an update to the old template.
        old = stack.parse_template(before[0])
        _roll_back(stack, lambda: apply(stack, old, before[1]), "UPDATE_ROLLBACK", error)


def _roll_back(stack: Any, act: Callable[[], None], operation: str, cause: Exception) -> None:
    try:
        act()
        _finish(stack, f"{operation}_COMPLETE", str(cause))
    except Exception as error:
        log.debug("the rollback failed", exc_info=True)
        _finish(stack, f"{operation}_FAILED", f"{cause}; then: {error}")


def delete(backend: Any, stack: Any) -> None:
    """Delete a stack in a thread; the caller polls."""
    stack.status = "DELETE_IN_PROGRESS"
    stack._add_stack_event(stack.status, resource_status_reason="User Initiated")

    def run() -> None:
        try:
            _remove_all(stack)
        except StepFailed as error:
            _finish(stack, "DELETE_FAILED", str(error))
            return
        backend.deleted_stacks[stack.stack_id] = stack
        backend.stacks.pop(stack.stack_id, None)
        _finish(stack, "DELETE_COMPLETE")

    threading.Thread(target=run, daemon=True).start()
