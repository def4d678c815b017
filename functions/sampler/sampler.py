"""The comparison of a sample with the GPU tier's answers: its metrics, and the watch of its model.

Nobody waits for it, and a sample that is lost is one fewer: nothing is tried again but a write that another sample has
overtaken. No text is logged, and of an error its kind alone.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from contracts.cascade.agreement import disagreements
from contracts.cascade.contradictions import (
    ALL,
    CANARY,
    KEPT,
    METRIC,
    NAMESPACE,
    RELEASED,
    dimensions,
)
from contracts.cascade.sampling import Sample
from contracts.http_errors import ServingError
from contracts.prediction import TierAnswer, read_json
from functions.sampler.rows import Asleep, Overtaken, Rows

# The values of a metric that one line may have.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
MAX_VALUES = 100
# What a sample may be lost by. ValueError and KeyError are of an answer that is none.
LOST = (ServingError, ClientError, BotoCoreError, Asleep, Overtaken, ValueError, KeyError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """The sampling function of a deployment, over a client of SageMaker's runtime and the deployment's shared rows.

    Versions of the models in `canaries` are compared with each other.
    """

    deployment: str
    runtime: Any
    rows: Rows
    canaries: frozenset[str] = frozenset()
    write: Callable[[str], object] = print

    def take(self, sample: Sample) -> None:
        """Compare a sample and write what was found; of one that is lost, why."""
        try:
            if sample.sleeps:
                self.rows.check_ready(sample.address)
            found = disagreements(sample.task, sample.outputs, self._outputs(sample))
            if sample.shadow:
                self._say(sample, ALL, found)
            kept = [differs for differs, kept in zip(found, sample.kept, strict=True) if kept]
            if kept and sample.calibrated:
                watch = self.rows.watch(sample.model, sample.calibrated, kept)
                self._say(sample, KEPT, kept, watch)
        except LOST as error:
            self.write(json.dumps({"model": sample.model, "lost": kind_of(error)}))

    def _outputs(self, sample: Sample) -> Sequence[Mapping[str, Any]]:
        reply = self.runtime.invoke_endpoint(
            EndpointName=sample.address,
            InferenceComponentName=sample.address,
            ContentType="application/json",
            Accept="application/json",
            Body=json.dumps(sample.request.to_wire()).encode(),
        )
        return TierAnswer.from_wire(read_json(reply["Body"].read())).outputs

    def _say(
        self,
        sample: Sample,
        of: str,
        disagree: Sequence[bool],
        watch: Mapping[str, Any] | None = None,
    ) -> None:
        """Write lines of metrics: of the answers `disagreed`, and where a canary is watched of the request METRIC."""
        named = {"deployment": self.deployment, "model": sample.model, "of": of}
        for i in range(0, len(disagree), MAX_VALUES):
            values = [int(differs) for differs in disagree[i : i + MAX_VALUES]]
            self.write(metric_line(named, "disagreed", values, {"watch": watch} if watch else {}))
        if sample.model in self.canaries:
            by = CANARY if sample.version == sample.newest else RELEASED
            named = dimensions(self.deployment, sample.model, of=of, canary=sample.newest, by=by)
            self.write(metric_line(named, METRIC, sum(disagree) / len(disagree)))


def metric_line(
    named: Mapping[str, str], metric: str, value: object, more: Mapping[str, Any] | None = None
) -> str:
    """Return a line of a metric in CloudWatch's embedded format, with its dimensions and what else is to be logged."""
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[*named]],
        "Metrics": [{"Name": metric}],
    }
    head = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}
    line = {**named, metric: value, **(more or {}), "_aws": head}
    return json.dumps(line, separators=(",", ":"))


def kind_of(error: Exception) -> str:
    """Return the kind of an error without its message, which may repeat a text."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "")) or "no code"
    return type(error).__name__
