"""Fixes of moto's CloudFormation API for the CDK command line."""

import contextlib
from typing import Any

from moto.cloudformation import models, parsing, responses, utils
from moto.cloudformation.exceptions import ValidationError

from local.control import stack_operations
from local.control.canaries.codedeploy import CODEDEPLOY_TYPES
from local.control.custom import CustomResource
from local.control.domains.types import DOMAIN_TYPES
from local.control.function_permission import FunctionPermission
from local.control.resource_type import class_of
from local.control.resource_types import EMPTY, TYPES
from local.control.rest_apis.types import REST_TYPES

Response = responses.CloudFormationResponse


class ChangeSetNotFound(ValidationError):  # type: ignore[misc]
    """The error code that tells the CDK that a change set does not exist."""

    code = "ChangeSetNotFound"


def extend() -> None:
    _add_our_types()
    _read_templates_by_path()
    _find_change_sets_by_stack()
    _use_previous_values()
    _delete_in_order()


def _add_our_types() -> None:
    """Register our resource types and refuse unknown ones; moto finds models among subclasses of its base class."""
    kinds = (*TYPES, *REST_TYPES, *DOMAIN_TYPES)
    ours: dict[str, Any] = {kind.name: class_of(kind) for kind in kinds}
    ours |= {FunctionPermission.cloudformation_type(): FunctionPermission, **CODEDEPLOY_TYPES}
    find = parsing.resource_class_from_type
    name_property = parsing.resource_name_property_from_type
    named = {kind.name: kind.name_property for kind in TYPES}

    def resource_class(kind: str) -> Any:
        if kind in ours:
            return ours[kind]
        if kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
            return CustomResource
        if kind in EMPTY:
            return None
        # moto logs a warning for a type that it does not know, and the stack still becomes CREATE_COMPLETE.
        if kind not in parsing.get_model_map():
            raise _not_modelled(kind)
        return find(kind)

    def resource_name_property(kind: str) -> Any:
        return (named[kind] or None) if kind in named else name_property(kind)

    parsing.resource_class_from_type = resource_class
    parsing.resource_name_property_from_type = resource_name_property


def _not_modelled(kind: str) -> ValidationError:
    """Return the error of a type that neither moto nor `TYPES` has, and that moto would skip silently."""
    return ValidationError(
        message=(
            f"the local cloud does not model {kind}; deploy this stack to AWS, or add the type to "
            "local/control/resource_types.py"
        )
    )


def _read_templates_by_path() -> None:
    """Rewrite template URLs to `localhost`, the only host for which moto takes a bucket from the path."""
    read = utils.get_stack_from_s3_url

    def by_path(url: str, account_id: str, partition: str) -> Any:
        return read(url.replace("//127.0.0.1", "//localhost"), account_id, partition)

    # `responses` has imported the function by its name, so both names are replaced.
    utils.get_stack_from_s3_url = responses.get_stack_from_s3_url = by_path


def _find(response: Any) -> str:
    """Return the id of the named change set within the named stack; raise ChangeSetNotFound."""
    name, stack = response._get_param("ChangeSetName"), response._get_param("StackName")
    for identity, change_set in response.cloudformation_backend.change_sets.items():
        ours = stack in (None, change_set.stack.name, change_set.stack.stack_id)
        if name == identity or (name == change_set.change_set_name and ours):
            return str(identity)
    raise ChangeSetNotFound(message=f"ChangeSet [{name}] does not exist")


def _find_change_sets_by_stack() -> None:
    """Look change sets up by stack and name: the CDK uses one name in every stack, and moto goes by name alone."""

    def describe(self: Any) -> Any:
        return responses.ActionResult(self.cloudformation_backend.change_sets[_find(self)])

    def delete(self: Any) -> Any:
        # The CDK deletes a change set before it creates one, whether there is one or not.
        with contextlib.suppress(ChangeSetNotFound):
            self.cloudformation_backend.change_sets.pop(_find(self))
        return responses.EmptyResult()

    def execute(self: Any) -> Any:
        stack_operations.execute(self.cloudformation_backend.change_sets[_find(self)])
        return responses.EmptyResult()

    Response.describe_change_set = describe
    Response.delete_change_set = delete
    Response.execute_change_set = execute


def _use_previous_values() -> None:
    """Resolve `UsePreviousValue` to the stack's value, and drop the parameter if it has none."""
    # The CDK's templates have a parameter BootstrapVersion, which each update sends in this way. moto fails with a
    # KeyError.
    get_param = Response._get_param

    def with_previous(self: Any, name: str, *rest: Any, **options: Any) -> Any:
        value = get_param(self, name, *rest, **options)
        if name != "Parameters" or not isinstance(value, list):
            return value
        try:
            stack = self.cloudformation_backend.get_stack(get_param(self, "StackName"))
            previous = stack.parameters or {}
        except ValidationError:
            previous = {}
        return [resolved for item in value if (resolved := _with_previous_value(item, previous))]

    Response._get_param = with_previous


def _with_previous_value(
    parameter: dict[str, Any], previous: dict[str, Any]
) -> dict[str, Any] | None:
    if str(parameter.get("UsePreviousValue", "")).lower() != "true":
        return parameter
    key = parameter["ParameterKey"]
    return {"ParameterKey": key, "ParameterValue": previous[key]} if key in previous else None


def _delete_in_order() -> None:
    """Delete a stack's resources in the reverse order of their references."""

    def delete_stack(self: Any, name_or_stack_id: str) -> None:
        # A copy, because the thread that deletes a stack takes it out of `stacks`.
        for stack in list(self.stacks.values()):
            if name_or_stack_id in (stack.name, stack.stack_id):
                _check_deletable(stack)
                stack_operations.delete(self, stack)

    models.CloudFormationBackend.delete_stack = delete_stack


def _check_deletable(stack: Any) -> None:
    """Raise ValidationError for a stack that is being updated.

    The text is in https://github.com/aws/copilot-cli/issues/1180.
    """
    if stack.status.startswith("UPDATE") and stack.status.endswith("_IN_PROGRESS"):
        message = f"Stack [{stack.stack_id}] cannot be deleted while in status {stack.status}"
        raise ValidationError(message=message)
