"""Faults of the table of shared states, and of the schedule of their observer."""

from stacks.rules.document import Document
from stacks.rules.gateway import PERMISSION
from stacks.rules.states import SCHEDULE, TABLE
from tests.stacks.mutants.mutation import (
    STATES,
    Mutation,
    first,
    lint,
    model,
    nag,
    ours,
    resource,
)


def table_kept(stack: Document) -> None:
    resource(stack, TABLE).update(DeletionPolicy="Retain", UpdateReplacePolicy="Retain")


def rows_for_ever(stack: Document) -> None:
    del first(stack, TABLE)["TimeToLiveSpecification"]


def expiry_of_no_attribute(stack: Document) -> None:
    first(stack, TABLE)["TimeToLiveSpecification"]["AttributeName"] = "ttl"


def key_undefined(stack: Document) -> None:
    first(stack, TABLE)["KeySchema"][0]["AttributeName"] = "address"


def capacity_not_named(stack: Document) -> None:
    first(stack, TABLE)["BillingMode"] = "PROVISIONED"


def billing_of_no_kind(stack: Document) -> None:
    first(stack, TABLE)["BillingMode"] = "ON_DEMAND"


def rows_not_recovered(stack: Document) -> None:
    del first(stack, TABLE)["PointInTimeRecoverySpecification"]


def schedule_not_permitted(stack: Document) -> None:
    (permission,) = stack.of(PERMISSION)
    del stack.all[permission]


def schedule_of_no_form(stack: Document) -> None:
    first(stack, SCHEDULE)["ScheduleExpression"] = "every minute"


def schedule_of_one_minutes(stack: Document) -> None:
    first(stack, SCHEDULE)["ScheduleExpression"] = "rate(1 minutes)"


SCHEDULES = (
    "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html"
)
TABLES = "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html"
EXPIRY = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html"
MUTATIONS = (
    Mutation(
        spoil=table_kept,
        stack=STATES,
        account="it stays when the stack goes, and its name refuses the next deployment",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html",
        caught_by=(ours("kept_after_stack"),),
    ),
    Mutation(
        spoil=rows_for_ever,
        stack=STATES,
        account="the rows of every model that there was are kept",
        source=EXPIRY,
        caught_by=(ours("rows_expire"),),
    ),
    Mutation(
        spoil=expiry_of_no_attribute,
        stack=STATES,
        account="no row has it, so none is deleted",
        source=EXPIRY,
        caught_by=(ours("rows_expire"),),
    ),
    Mutation(
        spoil=key_undefined,
        stack=STATES,
        account="the table is refused when it is created",
        source=TABLES,
        caught_by=(lint("E3039"),),
    ),
    Mutation(
        spoil=capacity_not_named,
        stack=STATES,
        account="the table is refused when it is created",
        source=TABLES,
        caught_by=(lint("E3639"),),
    ),
    Mutation(
        spoil=billing_of_no_kind,
        stack=STATES,
        account="the table is refused when it is created",
        source=TABLES,
        caught_by=(lint("E3030"), lint("E3639"), model("enum")),
    ),
    Mutation(
        spoil=rows_not_recovered,
        stack=STATES,
        account="rows that were deleted by mistake are gone",
        source="https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html",
        caught_by=(nag("AwsSolutions-DDB3"),),
    ),
    Mutation(
        spoil=schedule_not_permitted,
        stack=STATES,
        account="the function is never called, and nobody is told",
        source="https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html",
        caught_by=(ours("schedule_permitted"),),
    ),
    Mutation(
        spoil=schedule_of_no_form,
        stack=STATES,
        account="the rule is refused when it is created",
        source=SCHEDULES,
        caught_by=(
            lint("E3027"),
            lint("E3031"),
        ),
    ),
    Mutation(
        spoil=schedule_of_one_minutes,
        stack=STATES,
        account="the rule is refused when it is created: of one, the unit is singular",
        source=SCHEDULES,
        caught_by=(lint("E3027"),),
    ),
)
