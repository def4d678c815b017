"""The alarm of a canary that the GPU tier contradicts more often than the version before it.

Like the drift watch it bets that the odds have doubled: evidence is multiplied by 2 / (1 + rate) where the GPU tier
disagrees and by 1 / (1 + rate) where it agrees. Here `rate` is that of both versions together. If they are equally
good, the canary's requests are a random part of all, and the evidence is 1 at most on average (Hoeffding, 1963, section
6: of a part that is drawn without replacement no convex function is larger on average than with it). So at each moment
it has reached LIMIT with a probability of at most 1 / LIMIT. Fewer than 5 contradictions never reach it. How often it
does at any moment of a canary is simulated in `benchmarks/canary.py`.
"""

import math
from collections.abc import Iterator

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from contracts.cascade.contradictions import CANARY, METRIC, NAMESPACE, RELEASED, dimensions
from contracts.cascade.drift import LIMIT

# The contradictions and the requests of each version. The logarithm of 2 is rounded down, as CloudWatch's takes time
# series alone: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
EVIDENCE = (
    "contradicted * 0.693147 - asked * LOG(1 + (contradicted + before) / (asked + asked_before))"
)


def add_agreement_alarm(
    scope: Construct, deployment: str, model: str, version: str, *, of: str, minutes: int
) -> cloudwatch.CfnAlarm:
    """Add the alarm of a version, over all minutes of its canary: the window slides, and is looked at each minute.

    Without the version before, the evidence stays below 0; without data there is none.
    """
    named = {
        by: dimensions(deployment, model, of=of, canary=version, by=by) for by in (CANARY, RELEASED)
    }
    return cloudwatch.CfnAlarm(
        scope,
        "CanaryContradicted",
        alarm_description="The GPU tier contradicts the newest version more often than the one before",
        metrics=[
            cloudwatch.CfnAlarm.MetricDataQueryProperty(
                id="evidence", expression=EVIDENCE, return_data=True
            ),
            *_counts(("contradicted", "asked"), named[CANARY], minutes),
            *_counts(("before", "asked_before"), named[RELEASED], minutes),
        ],
        evaluation_periods=1,
        threshold=round(math.log(LIMIT), 4),
        comparison_operator="GreaterThanOrEqualToThreshold",
        treat_missing_data="notBreaching",
    )


def _counts(
    ids: tuple[str, str], named: dict[str, str], minutes: int
) -> Iterator[cloudwatch.CfnAlarm.MetricDataQueryProperty]:
    """Yield the sum of the metric with these dimensions, and the requests that it is of."""
    for name, statistic in zip(ids, ("Sum", "SampleCount"), strict=True):
        yield cloudwatch.CfnAlarm.MetricDataQueryProperty(
            id=name,
            metric_stat=cloudwatch.CfnAlarm.MetricStatProperty(
                metric=cloudwatch.CfnAlarm.MetricProperty(
                    namespace=NAMESPACE,
                    metric_name=METRIC,
                    dimensions=[
                        cloudwatch.CfnAlarm.DimensionProperty(name=key, value=value)
                        for key, value in named.items()
                    ],
                ),
                period=minutes * 60,
                stat=statistic,
            ),
            return_data=False,
        )
