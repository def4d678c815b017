"""Rules for canaries: a new version is probed, watched, and taken back."""

from collections.abc import Iterator

from contracts.cascade.contradictions import NAMESPACE
from stacks.rules.document import Document, Json, text
from stacks.rules.finding import Finding
from stacks.rules.functions import ALIAS, VERSION
from stacks.rules.lifetime import PROBE, before

GROUP, ALARM = "AWS::CodeDeploy::DeploymentGroup", "AWS::CloudWatch::Alarm"
PARAMETER = "AWS::SSM::Parameter"
STOPPED = "DEPLOYMENT_STOP_ON_ALARM"


def _moved(stack: Document) -> Iterator[tuple[str, Json, Json]]:
    """Yield each alias that CodeDeploy moves, by name, with its properties and those of its group."""
    for name, alias in stack.of(ALIAS).items():
        policy = stack.all[name].get("UpdatePolicy", {}).get("CodeDeployLambdaAliasUpdate")
        if policy:
            group = stack.named(policy.get("DeploymentGroupName"), GROUP)
            yield name, alias, stack.of(GROUP)[group] if group else {}


def canary_probed(stack: Document) -> Iterator[Finding]:
    """Require that a version of a canary answers its probe before a request: else a tenth of them is the probe."""
    for name, alias, _ in _moved(stack):
        for probe in stack.of(PROBE).keys() - before(stack, name):
            message = f"it moves before {probe} has answered; add a dependency"
            yield Finding(resource=name, place="DependsOn", message=message)
        for probe, properties in stack.of(PROBE).items():
            if text(properties.get("Address")).endswith(f":{alias['Name']}"):
                message = "the alias is probed, which names the version before; name the new one"
                yield Finding(resource=probe, place="Address", message=message)


def canary_watched(stack: Document) -> Iterator[Finding]:
    """Require alarms of the version that an alias moves to: those of all versions are silent, or ring for the old one.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
    """
    for name, alias, group in _moved(stack):
        version = stack.named(alias.get("FunctionVersion"), VERSION)
        watching = group.get("AlarmConfiguration", {})
        alarms = [
            stack.of(ALARM)[alarm]
            for one in watching.get("Alarms", [])
            if watching.get("Enabled") and (alarm := stack.named(one.get("Name"), ALARM))
        ]
        watched = [
            stack.named(dimension.get("Value"), VERSION)
            for alarm in alarms
            for dimension in alarm.get("Dimensions", [])
            if dimension.get("Name") == "ExecutedVersion"
        ]
        if not watched or set(watched) != {version}:
            message = (
                "no alarm watches the new version; name its ExecutedVersion in one of the group"
            )
            yield Finding(resource=name, place="UpdatePolicy", message=message)


def canary_compared(stack: Document) -> Iterator[Finding]:
    """Require that an alarm of a canary's agreement is in its group, and of the version that is written as the canary.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-codedeploy-deploymentgroup.html
    """
    for name, _, group in _moved(stack):
        listed = group.get("AlarmConfiguration", {}).get("Alarms", [])
        asked = {stack.named(one.get("Name"), ALARM) for one in listed}
        written = " ".join(text(one.get("Value")) for one in stack.of(PARAMETER).values())
        for alarm, properties in stack.of(ALARM).items():
            versions = set(_canaries_in(properties))
            if versions and alarm not in asked:
                message = f"nobody asks for {alarm}; name it in the AlarmConfiguration"
                yield Finding(resource=name, place="UpdatePolicy", message=message)
            for version in versions:
                if f'"version": "{version}"' not in written:
                    message = f"{version} is not the version of the canary, so it never rings"
                    yield Finding(resource=alarm, place="Metrics", message=message)


def _canaries_in(alarm: Json) -> Iterator[str]:
    """Yield the versions that an alarm's metrics are of."""
    for query in alarm.get("Metrics", []):
        metric = query.get("MetricStat", {}).get("Metric", {})
        if metric.get("Namespace") == NAMESPACE:
            named = {one["Name"]: one["Value"] for one in metric.get("Dimensions", [])}
            yield str(named.get("canary"))


def canary_taken_back(stack: Document) -> Iterator[Finding]:
    """Require that an alarm takes a canary back: CodeDeploy else stops, and leaves both versions behind the alias."""
    for name, _, group in _moved(stack):
        rollback = group.get("AutoRollbackConfiguration", {})
        if not rollback.get("Enabled") or STOPPED not in rollback.get("Events", []):
            message = (
                f"an alarm leaves both versions; enable AutoRollbackConfiguration for {STOPPED}"
            )
            yield Finding(resource=name, place="UpdatePolicy", message=message)
