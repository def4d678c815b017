"""The canary of a new version of a CPU function: a tenth of the requests, taken back as soon as one of them fails.

It is taken back as well if the GPU tier contradicts it more often than the version before, where that is asked at all.

CodeDeploy moves the alias, and moves it back on an alarm; CloudFormation waits for it, and restores the stack then. So
nothing of ours has to run meanwhile, and to fail.
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatepolicy.html
"""

import json

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct, IDependable

from contracts.manifest import Manifest
from contracts.names import ALIAS, canary_parameter
from stacks.canaries.agreement import add_agreement_alarm
from stacks.function import ImageFunction, service

# The share of requests that CodeDeploy's own configurations for canaries give to the new version.
PERCENT = 10


def add_canary(
    scope: Construct,
    deployment: str,
    manifest: Manifest,
    model: ImageFunction,
    *,
    minutes: int,
    compared: str,
    after: IDependable,
) -> None:
    """Have the alias of a model move to a new version in two steps, `minutes` apart, once `after` is deployed.

    `compared` are its answers that the GPU tier is asked for as well; without any, errors alone are watched.
    """
    canary = _add_version(scope, deployment, manifest, model)
    alarms = [_add_error_alarm(scope, model)]
    if compared:
        name, version = manifest.model, manifest.version
        alarms.append(
            add_agreement_alarm(scope, deployment, name, version, of=compared, minutes=minutes)
        )
    group = _add_group(scope, model, minutes, alarms)
    alias = model.alias.node.default_child
    assert isinstance(alias, lambda_.CfnAlias)
    alias.cfn_options.update_policy = cdk.CfnUpdatePolicy(
        code_deploy_lambda_alias_update=cdk.CfnCodeDeployLambdaAliasUpdate(
            application_name=group.application_name, deployment_group_name=group.ref
        )
    )
    canary.node.add_dependency(after)
    model.alias.node.add_dependency(canary, group)


def _add_version(
    scope: Construct, deployment: str, manifest: Manifest, model: ImageFunction
) -> ssm.StringParameter:
    """Write which version gets requests beside the released one, and where a request that pins it finds it.

    Once the canary is over it is the released one, or CloudFormation has restored the parameter.
    """
    facts = {
        "version": manifest.version,
        "own_address": model.own_address,
        "percent": PERCENT,
    }
    return ssm.StringParameter(
        scope,
        "CanaryVersion",
        parameter_name=canary_parameter(deployment, manifest.model),
        string_value=json.dumps(facts),
        description=f"Turnout: the newest version of {manifest.model} on its {manifest.tier} tier",
    )


def _add_error_alarm(scope: Construct, model: ImageFunction) -> cloudwatch.CfnAlarm:
    """Add the alarm of errors; it has no name of ours.

    Lambda counts crashes, failed starts and timeouts as errors, and those of the two versions behind an alias apart:
    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    """
    dimensions = {
        "FunctionName": model.name,
        "Resource": f"{model.name}:{ALIAS}",
        "ExecutedVersion": model.function.current_version.version,
    }
    return cloudwatch.CfnAlarm(
        scope,
        "CanaryErrors",
        alarm_description="Errors of the newest version: a deployment in progress is rolled back",
        namespace="AWS/Lambda",
        metric_name="Errors",
        dimensions=[
            cloudwatch.CfnAlarm.DimensionProperty(name=key, value=value)
            for key, value in dimensions.items()
        ],
        statistic="Sum",
        period=60,
        evaluation_periods=1,
        threshold=1,
        comparison_operator="GreaterThanOrEqualToThreshold",
        treat_missing_data="notBreaching",
    )


def _add_group(
    scope: Construct, model: ImageFunction, minutes: int, alarms: list[cloudwatch.CfnAlarm]
) -> codedeploy.CfnDeploymentGroup:
    """Add what CodeDeploy moves the alias by. The CDK's own construct would attach a policy for every function."""
    application = codedeploy.CfnApplication(scope, "Canaries", compute_platform="Lambda")
    role = _add_role(scope, model)
    group = codedeploy.CfnDeploymentGroup(
        scope,
        "Canary",
        application_name=application.ref,
        service_role_arn=role.role_arn,
        deployment_config_name=f"CodeDeployDefault.LambdaCanary{PERCENT}Percent{minutes}Minutes",
        deployment_style=codedeploy.CfnDeploymentGroup.DeploymentStyleProperty(
            deployment_type="BLUE_GREEN", deployment_option="WITH_TRAFFIC_CONTROL"
        ),
        alarm_configuration=codedeploy.CfnDeploymentGroup.AlarmConfigurationProperty(
            enabled=True,
            alarms=[
                codedeploy.CfnDeploymentGroup.AlarmProperty(name=alarm.ref) for alarm in alarms
            ],
        ),
        auto_rollback_configuration=codedeploy.CfnDeploymentGroup.AutoRollbackConfigurationProperty(
            enabled=True,
            events=[
                "DEPLOYMENT_FAILURE",
                "DEPLOYMENT_STOP_ON_ALARM",
                "DEPLOYMENT_STOP_ON_REQUEST",
            ],
        ),
    )
    group.node.add_dependency(role)
    return group


def _add_role(scope: Construct, model: ImageFunction) -> iam.Role:
    """Return the role of CodeDeploy: AWS's own policy for Lambda, of this function alone and without its hooks.

    https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCodeDeployRoleForLambdaLimited.html
    """
    role = iam.Role(scope, "CanaryRole", assumed_by=service(scope, "codedeploy"))
    arn = cdk.Stack.of(scope).format_arn(
        service="lambda",
        resource="function",
        resource_name=model.name,
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    moving = ["lambda:GetAlias", "lambda:UpdateAlias"]
    role.add_to_policy(iam.PolicyStatement(actions=moving, resources=[arn, f"{arn}:{ALIAS}"]))
    role.add_to_policy(
        iam.PolicyStatement(
            actions=["lambda:GetProvisionedConcurrencyConfig"], resources=[f"{arn}:{ALIAS}"]
        )
    )
    role.add_to_policy(iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=["*"]))
    cdk.Validations.of(role).acknowledge(
        cdk.Acknowledgment(
            id="AwsSolutions-IAM5[Resource::*]",
            reason="CodeDeploy asks for the alarms of a group by their names, and may read no more than alarms",
        )
    )
    return role
