"""A Lambda function with its own role, an expiring log group and an alias that callers name."""

from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
import jsii
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct, IValidation

from contracts.names import ALIAS
from stacks.image_source import Source, function_code

RETENTION = logs.RetentionDays.ONE_MONTH


def add_log(scope: Construct, name: str = "Log", group: str | None = None) -> logs.LogGroup:
    """Return a log group that is deleted with its stack; CloudFormation names it unless `group` does."""
    return logs.LogGroup(
        scope,
        name,
        log_group_name=group,
        retention=RETENTION,
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )


def service(scope: Construct, name: str) -> iam.IPrincipal:
    """Return the AWS service that may assume a role, for resources of this account alone.

    Neither Lambda nor SageMaker documents for which of its calls it names the account, so a call that names none is let
    through, as without the condition.
    https://docs.aws.amazon.com/sagemaker/latest/dg/security-confused-deputy-prevention.html
    """
    account = {"aws:SourceAccount": cdk.Stack.of(scope).account}
    return iam.ServicePrincipal(
        f"{name}.amazonaws.com", conditions={"StringEqualsIfExists": account}
    )


def add_role(scope: Construct, log: logs.LogGroup, name: str = "Role") -> iam.Role:
    """Return a role that may write that log, and nothing else."""
    role = iam.Role(scope, name, assumed_by=service(scope, "lambda"))
    log.grant_write(role)
    return role


def code_function(
    scope: Construct, name: str, *, function_name: str, code: Path, handler: str
) -> lambda_.Function:
    """Return a function from a folder of code, with a log and a role of its own; it needs boto3 and nothing else."""
    log = add_log(scope, f"{name}Log")
    role = add_role(scope, log, f"{name}Role")
    function = lambda_.Function(
        scope,
        name,
        function_name=function_name,
        # Lambda's managed runtime brings boto3.
        runtime=lambda_.Runtime.PYTHON_3_14,
        handler=handler,
        code=lambda_.Code.from_asset(str(code)),
        memory_size=256,
        timeout=cdk.Duration.seconds(60),
        role=role,
        log_group=log,
    )
    function.node.add_dependency(role)
    return function


@jsii.implements(IValidation)
class NoProvisionedConcurrency:
    """The rule that a version with a snapshot is not kept started as well, which AWS refuses at deployment alone.

    https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html
    """

    def __init__(self, alias: lambda_.Alias) -> None:
        self._alias = alias

    def validate(self) -> list[str]:
        resource = self._alias.node.default_child
        assert isinstance(resource, lambda_.CfnAlias)
        if resource.provisioned_concurrency_config is None:
            return []
        return ["a model has snap_start or provisioned concurrency, not both; remove one"]


class ImageFunction(Construct):
    """A function from an image, with the handler `command` or else the image's own; callers invoke `alias`."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        function_name: str,
        image: Source,
        memory_mb: int,
        timeout_s: int,
        environment: Mapping[str, str],
        snap_start: bool = False,
        command: str | None = None,
    ) -> None:
        super().__init__(scope, name)
        self.name = function_name
        log = add_log(self)
        self.role = add_role(self, log)
        self.function = lambda_.DockerImageFunction(
            self,
            "Function",
            function_name=function_name,
            code=function_code(self, image, command),
            # The candidates are measured and proven on x86-64: on arm64 other kernels run, and answers may differ.
            architecture=lambda_.Architecture.X86_64,
            memory_size=memory_mb,
            timeout=cdk.Duration.seconds(timeout_s),
            environment=dict(environment),
            role=self.role,
            log_group=log,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
        )
        # CloudFormation would otherwise create the function before the policy that lets it write to its log.
        self.function.node.add_dependency(self.role)
        self.alias = lambda_.Alias(
            self, "Live", alias_name=ALIAS, version=self.function.current_version
        )
        if snap_start:
            self.node.add_validation(NoProvisionedConcurrency(self.alias))

    @property
    def own_address(self) -> str:
        """Return the address of the version that this template publishes, whatever the alias names."""
        return f"{self.name}:{self.function.current_version.version}"
