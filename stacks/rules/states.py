"""Rules for the table of shared states, and for what is run on a schedule."""

from collections.abc import Iterator

from contracts.states.rows import EXPIRES_AT
from stacks.rules.document import Document
from stacks.rules.finding import Finding
from stacks.rules.functions import FUNCTION
from stacks.rules.gateway import EVENTS, PERMISSION

TABLE, SCHEDULE = "AWS::DynamoDB::Table", "AWS::Events::Rule"


def rows_expire(stack: Document) -> Iterator[Finding]:
    """Require that rows expire by the attribute that they have: else those of models that are gone stay for ever."""
    for name, table in stack.of(TABLE).items():
        expiry = table.get("TimeToLiveSpecification", {})
        if (expiry.get("Enabled"), expiry.get("AttributeName")) != (True, EXPIRES_AT):
            message = f"rows that never expire; enable TimeToLiveSpecification by {EXPIRES_AT}"
            yield Finding(resource=name, place="TimeToLiveSpecification", message=message)


def schedule_permitted(stack: Document) -> Iterator[Finding]:
    """Require that a function lets its schedule call it: EventBridge says nothing where it may not.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    permitted = {
        (
            stack.named(one.get("FunctionName"), FUNCTION),
            stack.named(one.get("SourceArn"), SCHEDULE),
        )
        for one in stack.of(PERMISSION).values()
        if one.get("Principal") == EVENTS
    }
    for name, rule in stack.of(SCHEDULE).items():
        for target in rule.get("Targets", []):
            function = stack.named(target.get("Arn"), FUNCTION)
            if function and (function, name) not in permitted:
                message = f"{function} does not permit it; add a permission for {EVENTS}"
                yield Finding(resource=name, place="Targets", message=message)
