"""Rules for the table of shared states."""

from collections.abc import Iterator

from contracts.states.rows import EXPIRES_AT
from stacks.rules.document import Document
from stacks.rules.finding import Finding

TABLE = "AWS::DynamoDB::Table"


def rows_expire(stack: Document) -> Iterator[Finding]:
    """Require that rows expire by the attribute that they have: else those of models that are gone stay for ever."""
    for name, table in stack.of(TABLE).items():
        expiry = table.get("TimeToLiveSpecification", {})
        if (expiry.get("Enabled"), expiry.get("AttributeName")) != (True, EXPIRES_AT):
            message = f"rows that never expire; enable TimeToLiveSpecification by {EXPIRES_AT}"
            yield Finding(resource=name, place="TimeToLiveSpecification", message=message)
