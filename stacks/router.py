"""The front of the product: an HTTP API and the router behind it; the prober of functions, and their sampler."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jsii
from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk.aws_apigateway import AccessLogFormat
from constructs import Construct

from contracts.limits import (
    INTEGRATION_TIMEOUT_S,
    ROUTER_MEMORY_MB,
    ROUTER_TIMEOUT_S,
    STREAM_ROUTER_TIMEOUT_S,
)
from contracts.names import (
    ALIAS,
    model_stack,
    prober_function,
    sampling_function,
    states_stack,
    stream_function,
)
from contracts.specs import Deployment, ModelSpec
from contracts.tasks import WRITING_TASKS, Task, Tier
from stacks.domains.domain import ApiStage, add_domain, urls
from stacks.function import ImageFunction, add_log, code_function
from stacks.image_source import Source
from stacks.limits.throttle import Limits
from stacks.permissions import (
    ANOTHER_TYPE,
    allow_releases,
    allow_states,
    allow_wildcard,
    endpoint_arns,
)
from stacks.streams.front import add_rest_api, front_of
from stacks.weights.access import allow_markers

# One line of JSON a request; what a request does not have is "-". The request's id is in the router's own line as well.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
ACCESS_LOG: Mapping[str, str] = {
    "request_id": "$context.requestId",
    "time_ms": "$context.requestTimeEpoch",
    "ip": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "ms": "$context.responseLatency",
    "router_ms": "$context.integrationLatency",
    "router_status": "$context.integrationStatus",
    "router_error": "$context.integrationErrorMessage",
    "gateway_error": "$context.error.message",
    "bytes": "$context.responseLength",
}
# Why what may be invoked is not named in full.
WILDCARDS = {
    Tier.CPU: "during a canary a version is invoked by its number, which Lambda gives it",
    Tier.GPU: ANOTHER_TYPE,
}


@jsii.implements(gateway.IAccessLogSettings)
class AccessLog:
    """The stage's log of requests, as ACCESS_LOG has it."""

    def __init__(self, log: logs.ILogGroup) -> None:
        self._destination = gateway.LogGroupLogDestination(log)

    @property
    def destination(self) -> gateway.IAccessLogDestination:
        return self._destination

    @property
    def format(self) -> AccessLogFormat:
        return AccessLogFormat.custom(json.dumps(ACCESS_LOG))


class RouterStack(cdk.Stack):
    """The router's stack; it needs no model to be deployed."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        deployment: Deployment,
        throttle: Limits,
        image: Source,
        prober: Path,
        sampler: Path | None = None,
        sampled: Sequence[ModelSpec] = (),
        pushed: bool = False,
        **options: Any,
    ) -> None:
        """Make the stack; with `pushed`, of a deployment that has weights in S3."""
        super().__init__(scope, name, stack_name=name, **options)
        self.deployment = deployment
        router = ImageFunction(
            self,
            "Router",
            function_name=name,
            image=image,
            memory_mb=ROUTER_MEMORY_MB,
            timeout_s=ROUTER_TIMEOUT_S,
            environment={},
        )
        routers = [router.function]
        self.add_prober(prober, pushed)
        whole, streamed = self.add_api(router.alias, throttle), None
        cdk.CfnOutput(self, "Url", value=whole.url, description="Where to send requests")
        if deployment.streams:
            function, streamed = self.add_stream_front(image, throttle)
            routers.append(function)
        if deployment.domain:
            add_domain(self, deployment.domain, whole, streamed)
        # Each names all, so that callers of one find the other.
        for name, url in urls(deployment.domain, whole, streamed).items():
            for function in routers:
                function.add_environment(name, url)
        for function in routers:
            self.allow_router(function)
        if sampler:
            self.add_sampler(sampler, sampled, *routers)

    def add_stream_front(
        self, image: Source, throttle: Limits
    ) -> tuple[lambda_.Function, ApiStage]:
        """Create an API that streams and, from the same image, the function behind it; return both."""
        streaming = ImageFunction(
            self,
            "StreamRouter",
            function_name=stream_function(self.deployment.name),
            image=image,
            memory_mb=ROUTER_MEMORY_MB,
            timeout_s=STREAM_ROUTER_TIMEOUT_S,
            environment={},
            command="functions.router.stream.handler",
        )
        front = front_of(add_rest_api(self, streaming.alias, throttle))
        said = "Where streams are answered"
        cdk.CfnOutput(self, "StreamUrl", value=front.url, description=said)
        return streaming.function, front

    def allow_router(self, router: lambda_.Function) -> None:
        """Allow one of the router's functions to invoke all tiers, and to read what it knows of them."""
        self.allow_tiers(router, *Tier)
        allow_releases(router, self.deployment.name)
        if self.deployment.has_gpu:
            allow_states(
                router, self.deployment.name, "dynamodb:BatchGetItem", "dynamodb:UpdateItem"
            )

    def add_prober(self, code: Path, pushed: bool) -> None:
        """Create the function behind every CPU stack's probe; stacks find it by name, so nothing is exported.

        Of pushed weights it looks for the marker.
        """
        function = code_function(
            self,
            "Prober",
            function_name=prober_function(self.deployment.name),
            code=code,
            handler="prober.handler",
        )
        # GPU containers answer their probes before they are in service.
        self.allow_tiers(function, Tier.CPU)
        allow_releases(function, self.deployment.name)
        if pushed:
            allow_markers(function, self.deployment.name)

    def add_sampler(
        self, code: Path, sampled: Sequence[ModelSpec], *routers: lambda_.Function
    ) -> None:
        """Create the function that compares answers, for events of the router: none is tried again, or kept."""
        name = sampling_function(self.deployment.name)
        function = code_function(
            self,
            "Sampler",
            function_name=name,
            code=code,
            handler="functions.sampler.handler.handler",
        )
        function.add_environment("TURNOUT_DEPLOYMENT", self.deployment.name)
        function.add_environment("TURNOUT_STATES", states_stack(self.deployment.name))
        # Names of models have no space.
        canaries = [model.name for model in sampled if model.cpu and model.cpu.canary_minutes]
        if canaries:
            function.add_environment("TURNOUT_CANARIES", " ".join(canaries))
        alias = lambda_.Alias(
            self, "SamplerLive", alias_name=ALIAS, version=function.current_version
        )
        # An event has texts in it: one that cannot be taken soon is dropped, and goes nowhere.
        alias.configure_async_invoke(max_event_age=cdk.Duration.minutes(1), retry_attempts=0)
        self.allow_tiers(function, Tier.GPU, models=sampled)
        allow_states(function, self.deployment.name, "dynamodb:GetItem", "dynamodb:PutItem")
        arn = self._function_arn(f"{name}:{ALIAS}")
        for router in routers:
            router.add_to_role_policy(
                iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[arn])
            )

    def allow_tiers(
        self, caller: lambda_.Function, *tiers: Tier, models: Sequence[ModelSpec] | None = None
    ) -> None:
        """Allow a function to invoke those tiers of some models, all unless they are given, each by its full name."""
        for model in self.deployment.models if models is None else models:
            for tier in (tier for tier in model.tiers if tier in tiers):
                name = model_stack(self.deployment.name, model.name, tier)
                actions = _invoking(tier, model.task)
                with_canary = tier is Tier.CPU and bool(model.cpu and model.cpu.canary_minutes)
                arns = self._arns(tier, name, "*" if with_canary else ALIAS)
                caller.add_to_role_policy(iam.PolicyStatement(actions=actions, resources=arns))
                for arn in arns if with_canary or tier is Tier.GPU else ():
                    allow_wildcard(caller, arn, WILDCARDS[tier])

    def _arns(self, tier: Tier, name: str, qualifier: str) -> list[str]:
        if tier is Tier.CPU:
            return [self._function_arn(f"{name}:{qualifier}")]
        return list(endpoint_arns(self, name, "endpoint", "inference-component"))

    def _function_arn(self, name: str) -> str:
        """Return the ARN of a function with its alias: a permission on the function does not cover the alias."""
        arn: str = self.format_arn(
            service="lambda",
            resource="function",
            resource_name=name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        return arn

    def add_api(self, router: lambda_.IFunction, throttle: Limits) -> ApiStage:
        """Create the API. Every path goes to the router, so that unknown ones get a problem document as well."""
        api = gateway.HttpApi(
            self,
            "Api",
            api_name=self.stack_name,
            # The default stage of `HttpApi` has neither a throttle nor an access log.
            create_default_stage=False,
            default_integration=integrations.HttpLambdaIntegration(
                "Router", router, timeout=cdk.Duration.seconds(INTEGRATION_TIMEOUT_S)
            ),
        )
        # Each other name takes room in an account's one resource policy for logs, which ends at 5,120 characters.
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
        log = add_log(self, "AccessLog", f"/aws/vendedlogs/apis/{self.stack_name}")
        stage = gateway.HttpStage(
            self,
            "Stage",
            http_api=api,
            # The stage that is served from the base of the API's URL.
            stage_name="$default",
            auto_deploy=True,
            throttle=gateway.ThrottleSettings(rate_limit=throttle.rate, burst_limit=throttle.burst),
            access_log_settings=AccessLog(log),
        )
        cdk.Validations.of(api).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-APIG4",
                reason="the router checks a bearer key on every route but the health check and the documentation",
            )
        )
        served: cdk.CfnElement = stage.node.default_child
        return ApiStage(api_id=api.api_id, stage=served.ref, url=api.api_endpoint)


def _invoking(tier: Tier, task: Task) -> list[str]:
    """Return the actions by which a tier is invoked; what a GPU tier writes comes as a stream.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemakerai.html
    """
    if tier is Tier.CPU:
        return ["lambda:InvokeFunction"]
    streams = ["sagemaker:InvokeEndpointWithResponseStream"] if task in WRITING_TASKS else []
    return ["sagemaker:InvokeEndpoint", *streams]
