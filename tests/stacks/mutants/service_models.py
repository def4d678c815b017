"""The newest models of AWS's services, as botocore has them, read as a schema for templates.

They have the enums, patterns, lengths and ranges that CloudFormation's schemas, and so cfn-lint, often lack.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.session
from botocore.model import Shape

from stacks.rules.document import Document, Json

# What each intrinsic function comes to is not known before it is deployed.
INTRINSIC = re.compile(r"Ref|Fn::\w+|Condition")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The operation that CloudFormation calls to create a resource.

    `elsewhere` has the properties that CloudFormation gives to another operation, by its name; to none that has them in
    the same form where that is empty. The others are members of a `part` of what it takes, where that is named.
    """

    service: str
    name: str
    part: tuple[str, ...] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)


def created_by(service: str, name: str, **elsewhere: str) -> Operation:
    return Operation(service=service, name=name, elsewhere=elsewhere)


OPERATIONS = {
    "AWS::ApiGateway::RestApi": created_by("apigateway", "CreateRestApi"),
    "AWS::ApiGateway::Resource": created_by("apigateway", "CreateResource"),
    "AWS::ApiGateway::Method": created_by("apigateway", "PutMethod", Integration=""),
    "AWS::ApiGateway::Deployment": created_by("apigateway", "CreateDeployment"),
    # UpdateStage has the settings of its methods, in patches.
    "AWS::ApiGateway::Stage": created_by("apigateway", "CreateStage", MethodSettings=""),
    "AWS::ApiGatewayV2::Api": created_by("apigatewayv2", "CreateApi"),
    "AWS::ApiGatewayV2::ApiMapping": created_by("apigatewayv2", "CreateApiMapping"),
    "AWS::ApiGatewayV2::DomainName": created_by("apigatewayv2", "CreateDomainName"),
    "AWS::ApiGatewayV2::Integration": created_by("apigatewayv2", "CreateIntegration"),
    "AWS::ApiGatewayV2::Route": created_by("apigatewayv2", "CreateRoute"),
    "AWS::ApiGatewayV2::Stage": created_by("apigatewayv2", "CreateStage"),
    "AWS::ApiGatewayV2::Authorizer": created_by("apigatewayv2", "CreateAuthorizer"),
    "AWS::ApplicationAutoScaling::ScalableTarget": created_by(
        # PutScheduledAction has the fields of one.
        "application-autoscaling",
        "RegisterScalableTarget",
        ScheduledActions="",
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": created_by(
        # The identity of the target, in one.
        "application-autoscaling",
        "PutScalingPolicy",
        ScalingTargetId="",
    ),
    # CloudFormation makes the record in the zone, of which RequestCertificate knows nothing.
    "AWS::CertificateManager::Certificate": created_by(
        "acm", "RequestCertificate", DomainValidationOptions=""
    ),
    "AWS::CloudWatch::Alarm": created_by("cloudwatch", "PutMetricAlarm"),
    "AWS::DynamoDB::Table": created_by(
        "dynamodb",
        "CreateTable",
        TimeToLiveSpecification="",
        PointInTimeRecoverySpecification="",
    ),
    "AWS::Route53::RecordSet": Operation(
        service="route53",
        name="ChangeResourceRecordSets",
        part=("ChangeBatch", "Changes", "ResourceRecordSet"),
        elsewhere={"HostedZoneId": "ListResourceRecordSets"},
    ),
    "AWS::S3::Bucket": created_by(
        # All but the name are put by operations of their own, in other forms.
        "s3",
        "CreateBucket",
        BucketName="",
        BucketEncryption="",
        LifecycleConfiguration="",
        OwnershipControls="",
        PublicAccessBlockConfiguration="",
        Tags="",
    ),
    "AWS::S3::BucketPolicy": created_by("s3", "PutBucketPolicy", PolicyDocument=""),
    "AWS::CodeDeploy::Application": created_by("codedeploy", "CreateApplication"),
    "AWS::CodeDeploy::DeploymentGroup": created_by("codedeploy", "CreateDeploymentGroup"),
    "AWS::Events::Rule": created_by("events", "PutRule", Targets="PutTargets"),
    "AWS::IAM::Policy": created_by("iam", "PutRolePolicy", Roles=""),
    "AWS::IAM::Role": created_by("iam", "CreateRole", Policies="", ManagedPolicyArns=""),
    "AWS::Lambda::Alias": created_by(
        # PutProvisionedConcurrencyConfig has the number of it alone.
        "lambda",
        "CreateAlias",
        ProvisionedConcurrencyConfig="",
    ),
    "AWS::Lambda::EventInvokeConfig": created_by("lambda", "PutFunctionEventInvokeConfig"),
    "AWS::Lambda::Function": created_by(
        "lambda", "CreateFunction", ReservedConcurrentExecutions="PutFunctionConcurrency"
    ),
    "AWS::Lambda::Permission": created_by("lambda", "AddPermission"),
    "AWS::Lambda::Url": created_by("lambda", "CreateFunctionUrlConfig", TargetFunctionArn=""),
    "AWS::Lambda::Version": created_by("lambda", "PublishVersion", ProvisionedConcurrencyConfig=""),
    "AWS::Logs::LogGroup": created_by(
        "logs", "CreateLogGroup", RetentionInDays="PutRetentionPolicy"
    ),
    "AWS::Logs::MetricFilter": created_by("logs", "PutMetricFilter"),
    "AWS::SageMaker::Endpoint": created_by("sagemaker", "CreateEndpoint"),
    "AWS::SageMaker::EndpointConfig": created_by("sagemaker", "CreateEndpointConfig"),
    "AWS::SageMaker::InferenceComponent": created_by(
        "sagemaker", "CreateInferenceComponent", DeploymentConfig="UpdateInferenceComponent"
    ),
    "AWS::SageMaker::Model": created_by("sagemaker", "CreateModel"),
    "AWS::SSM::Parameter": created_by("ssm", "PutParameter"),
    "AWS::SNS::Topic": created_by("sns", "CreateTopic"),
    "AWS::Scheduler::Schedule": created_by("scheduler", "CreateSchedule"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place where a template is not what a service takes."""

    rule: str
    path: str
    detail: str


def differences(stack: Document) -> Iterator[Difference]:
    """Yield where a stack's properties are not what the services take."""
    for name, resource in stack.all.items():
        if not resource["Type"].startswith("AWS::"):
            continue
        operation = OPERATIONS.get(resource["Type"])
        if operation is None:
            detail = f"add {resource['Type']} to OPERATIONS of this module"
            yield Difference(rule="unknown_type", path=name, detail=detail)
            continue
        for key, value in resource.get("Properties", {}).items():
            part = () if key in operation.elsewhere else operation.part
            if taken_by := operation.elsewhere.get(key, operation.name):
                shape = _input(operation.service, taken_by, part)
                yield from _members({key: value}, shape, name)


@cache
def _input(service: str, operation: str, part: tuple[str, ...]) -> Shape:
    shape = (
        botocore.session.get_session()
        .get_service_model(service)
        .operation_model(operation)
        .input_shape
    )
    for name in part:
        member = shape.members[name]
        shape = member.member if member.type_name == "list" else member
    return shape


def _check(value: Any, shape: Shape, path: str) -> Iterator[Difference]:
    if not _is_known(value):
        return
    kind = shape.type_name
    if kind == "structure":
        required = [one for one in shape.metadata.get("required", ()) if _key(one, value) is None]
        for one in required:
            yield Difference(rule="required", path=path, detail=f"{one} is missing")
        yield from _members(value, shape, path)
    elif kind == "list":
        # CloudFormation has maps of tags where some services have lists of Key and Value, and the reverse.
        if isinstance(value, dict):
            value = [{"Key": key, "Value": one} for key, one in value.items()]
        yield from _bounds(len(value), shape, path, "length")
        for index, one in enumerate(value):
            yield from _check(one, shape.member, f"{path}/{index}")
    elif kind == "map":
        yield from _map(value, shape, path)
    else:
        yield from SCALARS.get(kind, _anything)(value, shape, path)


def _is_known(value: Any) -> bool:
    return not (isinstance(value, dict) and any(INTRINSIC.fullmatch(key) for key in value))


def _key(name: str, value: Json) -> str | None:
    """Return the key of a value that is a member's: services begin their names in either case."""
    return next((key for key in value if key.lower() == name.lower()), None)


def _members(value: Json, shape: Shape, path: str) -> Iterator[Difference]:
    members = {name.lower(): member for name, member in shape.members.items()}
    for key, part in value.items():
        member = members.get(key.lower())
        if member is None:
            detail = f"{shape.name} has no {key}"
            yield Difference(rule="unknown_member", path=f"{path}/{key}", detail=detail)
        else:
            yield from _check(part, member, f"{path}/{key}")


def _map(value: Any, shape: Shape, path: str) -> Iterator[Difference]:
    if isinstance(value, list):
        value = {one["Key"]: one["Value"] for one in value}
    yield from _bounds(len(value), shape, path, "length")
    for key, one in value.items():
        yield from _check(key, shape.key, f"{path}/{key}")
        yield from _check(one, shape.value, f"{path}/{key}")


def _string(value: Any, shape: Shape, path: str) -> Iterator[Difference]:
    # CloudFormation takes a policy's document as an object, and gives the service its text.
    if isinstance(value, dict | list):
        return
    found = str(value).lower() if isinstance(value, bool) else str(value)
    yield from _bounds(len(found), shape, path, "length")
    if shape.enum and found not in shape.enum:
        yield Difference(rule="enum", path=path, detail=f"{found} is none of {shape.enum}")
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(found):
        yield Difference(rule="pattern", path=path, detail=f"{found} does not match {pattern}")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return one of Java's patterns; those of Unicode's classes and surrogates, which Python lacks, take anything."""
    try:
        return re.compile(pattern)
    except re.error:
        return re.compile(".*", re.DOTALL)


def _number(value: Any, shape: Shape, path: str) -> Iterator[Difference]:
    try:
        yield from _bounds(float(value), shape, path, "range")
    except (TypeError, ValueError):
        yield Difference(rule="type", path=path, detail=f"{value!r} is no number")


def _boolean(value: Any, shape: Shape, path: str) -> Iterator[Difference]:
    if str(value).lower() not in ("true", "false"):
        yield Difference(rule="type", path=path, detail=f"{value!r} is neither true nor false")


def _anything(value: Any, shape: Shape, path: str) -> Iterator[Difference]:
    yield from ()


def _bounds(size: float, shape: Shape, path: str, rule: str) -> Iterator[Difference]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        yield Difference(rule=rule, path=path, detail=f"{size:g} is not within {low} and {high}")


SCALARS: dict[str, Callable[[Any, Shape, str], Iterator[Difference]]] = {
    "string": _string,
    "integer": _number,
    "long": _number,
    "float": _number,
    "double": _number,
    "boolean": _boolean,
}
