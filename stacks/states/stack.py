"""The table of what is known of GPU tiers, which `contracts/states/rows.py` describes, and its observer."""

from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from contracts.names import (
    endpoint,
    model_stack,
    observer_function,
    release_parameter,
    states_stack,
)
from contracts.specs import Deployment
from contracts.states.rows import EXPIRES_AT, KEY
from contracts.tasks import Tier
from stacks.function import code_function
from stacks.permissions import (
    ANOTHER_TYPE,
    allow_releases,
    allow_states,
    allow_wildcard,
    endpoint_arns,
)

# Nothing of a router runs between requests. Finer schedules than this one EventBridge has not.
EVERY = cdk.Duration.minutes(1)


def observed(deployment: Deployment) -> dict[str, object]:
    """Return the settings of the observer: the table, and the address and the release of each GPU tier."""
    gpus = {model.name: model.gpu for model in deployment.models if model.gpu}
    return {
        "table": states_stack(deployment.name),
        "targets": [
            {
                "address": endpoint(deployment.name, name, spec.instance),
                "release": release_parameter(deployment.name, name, Tier.GPU),
            }
            for name, spec in gpus.items()
        ],
    }


class StatesStack(cdk.Stack):
    """The table and the observer: they are made and deleted without the stacks of those who read."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        deployment: Deployment,
        observer: Path,
        **options: Any,
    ) -> None:
        super().__init__(scope, name, stack_name=name, **options)
        self.deployment = deployment
        self.table = self.add_table()
        self.add_observer(observer)

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

    def add_observer(self, code: Path) -> None:
        """Create the function that writes the copies of every GPU tier, and its schedule."""
        name = self.deployment.name
        function = code_function(
            self,
            "Observer",
            function_name=observer_function(name),
            code=code,
            handler="functions.observer.observer.handler",
        )
        for model in self.deployment.models:
            if model.gpu:
                tier = model_stack(name, model.name, Tier.GPU)
                (arn,) = endpoint_arns(self, tier, "inference-component")
                function.add_to_role_policy(
                    iam.PolicyStatement(
                        actions=["sagemaker:DescribeInferenceComponent"], resources=[arn]
                    )
                )
                allow_wildcard(function, arn, ANOTHER_TYPE)
        allow_releases(function, name)
        allow_states(function, name, "dynamodb:PutItem")
        # The next event brings newer rows: one that failed is not repeated.
        target = targets.LambdaFunction(function, retry_attempts=0, max_event_age=EVERY)
        events.Rule(self, "Schedule", schedule=events.Schedule.rate(EVERY), targets=[target])
