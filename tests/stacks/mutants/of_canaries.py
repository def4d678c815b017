"""Faults of a canary: of its probe, of what watches it, and of what takes it back."""

from stacks.rules.canaries import ALARM, GROUP
from stacks.rules.document import Document, Json
from stacks.rules.functions import ALIAS
from stacks.rules.lifetime import PROBE
from tests.stacks.mutants.mutation import CPU, Mutation, first, lint, model, ours, resource

POLICY = "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatepolicy.html"
GROUPS = "https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_CreateDeploymentGroup.html"


def canary_before_its_probe(stack: Document) -> None:
    del resource(stack, ALIAS)["DependsOn"]


def probe_of_the_version_before(stack: Document) -> None:
    first(stack, PROBE)["Address"] = f"{stack.name}:live"


def canary_that_nobody_watches(stack: Document) -> None:
    del first(stack, GROUP)["AlarmConfiguration"]


def canary_whose_alarms_are_off(stack: Document) -> None:
    first(stack, GROUP)["AlarmConfiguration"]["Enabled"] = False


def alarm_of_all_versions(stack: Document) -> None:
    alarm = next(one for one in stack.of(ALARM).values() if "Dimensions" in one)
    alarm["Dimensions"] = [d for d in alarm["Dimensions"] if d["Name"] != "ExecutedVersion"]


def agreement(stack: Document) -> Json:
    """Return the alarm of the canary's agreement with the GPU tier."""
    return next(alarm for alarm in stack.of(ALARM).values() if "Metrics" in alarm)


def agreement_of_another_version(stack: Document) -> None:
    for query in agreement(stack)["Metrics"]:
        for dimension in query.get("MetricStat", {}).get("Metric", {}).get("Dimensions", ()):
            if dimension["Name"] == "canary":
                dimension["Value"] = "0ld000000000"


def agreement_that_nobody_asks_for(stack: Document) -> None:
    watching = first(stack, GROUP)["AlarmConfiguration"]
    watching["Alarms"] = watching["Alarms"][:1]


def canary_left_on_an_alarm(stack: Document) -> None:
    first(stack, GROUP)["AutoRollbackConfiguration"]["Events"] = ["DEPLOYMENT_FAILURE"]


def canary_event_misspelt(stack: Document) -> None:
    first(stack, GROUP)["AutoRollbackConfiguration"]["Events"].append("DEPLOYMENT_ALARM")


def canary_of_no_type(stack: Document) -> None:
    first(stack, GROUP)["DeploymentStyle"]["DeploymentType"] = "CANARY"


MUTATIONS = (
    Mutation(
        spoil=canary_before_its_probe,
        stack=CPU,
        account="a tenth of the requests finds out what the probe would have",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-dependson.html",
        caught_by=(ours("canary_probed"), ours("release_waits")),
    ),
    Mutation(
        spoil=probe_of_the_version_before,
        stack=CPU,
        account="the probe asks the old version, and every deployment fails",
        source=POLICY,
        caught_by=(ours("canary_probed"),),
    ),
    Mutation(
        spoil=canary_that_nobody_watches,
        stack=CPU,
        account="a version that fails gets all requests after some minutes",
        source=GROUPS,
        caught_by=(ours("canary_watched"), ours("canary_compared")),
    ),
    Mutation(
        spoil=canary_whose_alarms_are_off,
        stack=CPU,
        account="a version that fails gets all requests after some minutes",
        source="https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_AlarmConfiguration.html",
        caught_by=(ours("canary_watched"),),
    ),
    Mutation(
        spoil=alarm_of_all_versions,
        stack=CPU,
        account="an error of the old version takes a good one back",
        source="https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html",
        caught_by=(ours("canary_watched"),),
    ),
    Mutation(
        spoil=agreement_of_another_version,
        stack=CPU,
        account="the alarm has no data, and a version that the GPU tier contradicts gets all requests",
        source=GROUPS,
        caught_by=(ours("canary_compared"),),
    ),
    Mutation(
        spoil=agreement_that_nobody_asks_for,
        stack=CPU,
        account="the alarm rings, and a version that the GPU tier contradicts gets all requests",
        source=GROUPS,
        caught_by=(ours("canary_compared"),),
    ),
    Mutation(
        spoil=canary_left_on_an_alarm,
        stack=CPU,
        account="an alarm stops the canary, and the alias stays between two versions",
        source="https://docs.aws.amazon.com/codedeploy/latest/userguide/deployments-rollback-and-redeploy.html",
        caught_by=(ours("canary_taken_back"),),
    ),
    Mutation(
        spoil=canary_event_misspelt,
        stack=CPU,
        account="the group is refused when it is created",
        source="https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_AutoRollbackConfiguration.html",
        caught_by=(lint("E3030"), model("enum")),
    ),
    Mutation(
        spoil=canary_of_no_type,
        stack=CPU,
        account="the group is refused when it is created",
        source="https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_DeploymentStyle.html",
        caught_by=(lint("E3030"), model("enum")),
    ),
)
