"""Faults of what stays, of what stacks share, and of what CloudFormation waits for."""

from stacks.rules.document import Document, Json
from stacks.rules.functions import LOG_GROUP
from stacks.rules.lifetime import PROBE, RELEASE
from tests.stacks.mutants.mutation import (
    CPU,
    GPU,
    ROUTER,
    SNAPSHOT,
    Mutation,
    first,
    lint,
    model,
    ours,
    resource,
)


def log_for_ever(stack: Document) -> None:
    del first(stack, LOG_GROUP)["RetentionInDays"]


def log_kept(stack: Document) -> None:
    resource(stack, LOG_GROUP)["DeletionPolicy"] = "Retain"


def log_of_a_month_and_a_day(stack: Document) -> None:
    first(stack, LOG_GROUP)["RetentionInDays"] = 31


def release_kept(stack: Document) -> None:
    resource(stack, RELEASE).update(DeletionPolicy="Retain", UpdateReplacePolicy="Retain")


def release_of_no_type(stack: Document) -> None:
    first(stack, RELEASE)["Type"] = "Text"


def exported(stack: Document) -> None:
    stack.template["Outputs"]["Url"]["Export"] = {"Name": "turnout-url"}


def _environment(stack: Document) -> Json:
    found: Json = first(stack, "AWS::Lambda::Function").setdefault("Environment", {})
    variables: Json = found.setdefault("Variables", {})
    return variables


def imported(stack: Document) -> None:
    _environment(stack)["URL"] = {"Fn::ImportValue": "turnout-url"}


def output_of_another_stack(stack: Document) -> None:
    output = {"StackName": "sixteen-chars-ab-router", "OutputName": "Url"}
    _environment(stack)["URL"] = {"Fn::GetStackOutput": output}


def probe_without_end(stack: Document) -> None:
    del first(stack, PROBE)["ServiceTimeout"]


def probe_deleted_by_its_prober(stack: Document) -> None:
    resource(stack, PROBE)["DeletionPolicy"] = "Delete"


def probe_before_its_alias(stack: Document) -> None:
    del resource(stack, PROBE)["DependsOn"]


def release_before_its_component(stack: Document) -> None:
    del resource(stack, RELEASE)["DependsOn"]


MUTATIONS = (
    Mutation(
        spoil=log_for_ever,
        stack=CPU,
        account="logs are kept, and paid for, without end",
        source="https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html",
        caught_by=(ours("log_expires"),),
    ),
    Mutation(
        spoil=log_kept,
        stack=CPU,
        account="it stays when the stack goes",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html",
        caught_by=(ours("kept_after_stack"),),
    ),
    Mutation(
        spoil=log_of_a_month_and_a_day,
        stack=CPU,
        account="the log group is refused when it is created",
        source="https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html",
        caught_by=(lint("E3030"),),
    ),
    Mutation(
        spoil=release_kept,
        stack=CPU,
        account="the registry lists a model that is gone",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html",
        caught_by=(ours("kept_after_stack"),),
    ),
    Mutation(
        spoil=release_of_no_type,
        stack=CPU,
        account="the parameter is refused when it is created",
        source="https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html",
        caught_by=(lint("E3030"), model("enum")),
    ),
    Mutation(
        spoil=exported,
        stack=ROUTER,
        account="the router's stack can neither change the value nor go while a stack imports it",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html",
        caught_by=(ours("shared_by_stacks"),),
    ),
    Mutation(
        spoil=imported,
        stack=CPU,
        account="a model that is removed deadlocks with the router's stack",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html",
        caught_by=(ours("shared_by_stacks"),),
    ),
    Mutation(
        spoil=output_of_another_stack,
        stack=CPU,
        account="the local cloud does not know it, and what is deployed is not what was tried",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html",
        caught_by=(ours("shared_by_stacks"),),
    ),
    Mutation(
        spoil=probe_without_end,
        stack=CPU,
        account="a prober that does not respond holds the stack for an hour",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-customresource.html",
        caught_by=(ours("custom_resource_timeout"),),
    ),
    Mutation(
        spoil=probe_deleted_by_its_prober,
        stack=CPU,
        account="once the router's stack is gone, this one cannot be deleted",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html",
        caught_by=(ours("custom_resource_left"),),
    ),
    Mutation(
        spoil=probe_before_its_alias,
        stack=SNAPSHOT,
        account="what is probed cannot be invoked yet",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-dependson.html",
        caught_by=(ours("release_waits"),),
    ),
    Mutation(
        spoil=release_before_its_component,
        stack=GPU,
        account="the registry lists what is not in service yet",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-dependson.html",
        caught_by=(ours("release_waits"),),
    ),
)
