"""The table of what is known of a deployment's GPU tiers, which `contracts/states/rows.py` describes."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from contracts.names import states_stack
from contracts.specs import Deployment
from contracts.states.rows import EXPIRES_AT, KEY


class StatesStack(cdk.Stack):
    """The table, on its own: it is made and deleted without the stacks of those who write and read it."""

    def __init__(
        self, scope: Construct, name: str, *, deployment: Deployment, **options: Any
    ) -> None:
        super().__init__(scope, name, stack_name=name, **options)
        self.deployment = deployment
        self.table = self.add_table()

    def add_table(self) -> dynamodb.Table:
        """Create the table. AWS encrypts every table; a key of one's own would cost more than all of the rows."""
        return dynamodb.Table(
            self,
            "Table",
            table_name=states_stack(self.deployment.name),
            partition_key=dynamodb.Attribute(name=KEY, type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute=EXPIRES_AT,
            # cdk-nag asks for it (AwsSolutions-DDB3); of a few kilobytes it costs nothing.
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            # The rows are about this deployment alone, and of no use after it.
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
