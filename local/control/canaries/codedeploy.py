"""CodeDeploy for Lambda: groups of a template, and the shift of an alias, over time and taken back by alarms.

moto creates groups, can neither change nor delete them, and CloudFormation's update of an alias passes them by. Order
and words are those of a canary that others have run, and had taken back, on AWS on 2026-08-08: its output is published.
"""

import re
import time
import uuid
from typing import Any, ClassVar, Self

from moto.awslambda.models import lambda_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.common_models import CloudFormationModel

from local.control.data_plane import data_plane
from local.permissions.errors import AccessDenied

CODEDEPLOY = "codedeploy.amazonaws.com"
# https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html
CONFIG = re.compile(r"CodeDeployDefault\.LambdaCanary(10)Percent(5|10|15|30)Minutes")
POLL_S = 0.02
Json = dict[str, Any]


class Recorded:
    """A resource of CodeDeploy: its properties, by a name that CloudFormation gives it."""

    kind: ClassVar[str]

    def __init__(self, name: str, properties: Json) -> None:
        self.physical_resource_id = name
        self.check(properties)
        data_plane().deployment_groups[name] = properties

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.kind

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Json,
        account_id: str,
        region_name: str,
        **_: Any,
    ) -> Self:
        return cls(f"{resource_name}-{uuid.uuid4().hex[:8]}", cloudformation_json["Properties"])

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: "Recorded", cloudformation_json: Json, **_: Any
    ) -> Self:
        return cls(original_resource.physical_resource_id, cloudformation_json["Properties"])

    def delete(self, account_id: str, region_name: str) -> None:
        data_plane().deployment_groups.pop(self.physical_resource_id, None)

    def check(self, properties: Json) -> None:
        """Raise what CodeDeploy refuses."""


class Application(Recorded, CloudFormationModel):  # type: ignore[misc]
    """An application, of which groups are a part."""

    kind = "AWS::CodeDeploy::Application"


class DeploymentGroup(Recorded, CloudFormationModel):  # type: ignore[misc]
    """A group: what moves the alias, by which steps, as which role, and the alarms that take it back."""

    kind = "AWS::CodeDeploy::DeploymentGroup"

    def check(self, properties: Json) -> None:
        if not CONFIG.fullmatch(str(properties.get("DeploymentConfigName"))):
            raise ValueError(
                "the local cloud models CodeDeploy's own canaries of Lambda functions alone, not "
                f"{properties.get('DeploymentConfigName')}"
            )
        role, access = properties["ServiceRoleArn"], data_plane().access
        try:
            access.check_trust(role, CODEDEPLOY, {"aws:SourceAccount": access.account})
        except AccessDenied as error:
            raise ValueError(
                f"AWS CodeDeploy does not have the permissions required to assume the role {role}."
            ) from error


CODEDEPLOY_TYPES = {one.kind: one for one in (Application, DeploymentGroup)}


class Stopped(Exception):
    """A deployment that CodeDeploy has taken back, in the words of CloudFormation."""

    def __init__(self, deployment: str, because: str) -> None:
        super().__init__(
            f'Resource handler returned message: "{deployment} failed. {because}" '
            f"(RequestToken: {uuid.uuid4()}, HandlerErrorCode: InternalFailure)"
        )


def shift(alias_arn: str, template: Json) -> None:
    """Move an alias to the version of its template as its update policy says; raise Stopped if it is taken back.

    Time passes as on the data plane's clock. Without a policy CloudFormation moves it by itself.
    """
    policy = template.get("UpdatePolicy", {}).get("CodeDeployLambdaAliasUpdate")
    region, account, name = (
        alias_arn.split(":")[3],
        alias_arn.split(":")[4],
        alias_arn.split(":")[-1],
    )
    function = alias_arn.rsplit(":", 2)[-2]
    backend = lambda_backends[account][region]
    version = str(template["Properties"]["FunctionVersion"])
    if policy is None or backend.get_alias(name, function).function_version == version:
        return
    group = data_plane().deployment_groups[policy["DeploymentGroupName"]]
    deployment = f"d-{uuid.uuid4().hex[:9].upper()}"
    _check_role(group, alias_arn, deployment)

    def move(weights: dict[str, float], to: str | None = None) -> None:
        backend.update_alias(
            name=name,
            function_name=function,
            function_version=to,
            description=None,
            routing_config={"AdditionalVersionWeights": weights},
        )

    found = CONFIG.fullmatch(group["DeploymentConfigName"])
    assert found is not None
    percent, minutes = map(int, found.groups())
    began = data_plane().clock()
    move({version: percent / 100})
    while not (ringing := _ringing(group, account, region, began)):
        if data_plane().clock() >= began + minutes * 60:
            return move({}, version)
        time.sleep(POLL_S)
    if group.get("AutoRollbackConfiguration", {}).get("Enabled"):
        move({})
    raise Stopped(
        deployment,
        "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and the "
        f"affected deployments have been stopped. Activated alarms: {' '.join(f'<{one}>' for one in ringing)}",
    )


def _ringing(group: Json, account: str, region: str, since: float) -> list[str]:
    watching = group.get("AlarmConfiguration", {})
    if not watching.get("Enabled"):
        return []
    known = cloudwatch_backends[account][region].alarms
    alarms, now = data_plane().alarms, data_plane().clock()
    names = [one["Name"] for one in watching.get("Alarms", ()) if one["Name"] in known]
    return [name for name in names if alarms.rings(known[name], since, now)]


def _check_role(group: Json, alias_arn: str, deployment: str) -> None:
    """Check what CodeDeploy does as the role of a group; raise Stopped where that is not allowed."""
    role, access = group["ServiceRoleArn"], data_plane().access
    function = alias_arn.rpartition(":")[0]
    region, account = alias_arn.split(":")[3:5]
    alarms = [one["Name"] for one in group.get("AlarmConfiguration", {}).get("Alarms", ())]
    calls = [
        ("AWSLambda", "lambda:GetAlias", function),
        ("AWSLambda", "lambda:UpdateAlias", function),
        *(
            (
                "AmazonCloudWatch",
                "cloudwatch:DescribeAlarms",
                f"arn:aws:cloudwatch:{region}:{account}:alarm:{one}",
            )
            for one in alarms
        ),
    ]
    for service, action, resource in calls:
        try:
            access.check(role, action, resource)
        except AccessDenied as error:
            raise Stopped(
                deployment,
                f"The IAM role {role} does not give you permission to perform operations in the following AWS "
                f"service: {service}. Contact your AWS administrator if you need help.",
            ) from error
