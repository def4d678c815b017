"""Places for copies of an inference component on an endpoint's instances, and what SageMaker refuses of updates.

Of some refusals AWS documents no more than a sentence. `Readings` has each way to read it: a deployment has to pass
under all of them.
"""

import math
from dataclasses import dataclass
from typing import Any

# What SageMaker answers if a copy has no place, whether by accelerators, memory or instances: Hugging Face's skill for
# SageMaker (`deploy_ic.py`) has seen it, on an ml.g5.xlarge.
NO_PLACE = (
    "There is not enough hardware resources on the instances for this endpoint to create a copy of the inference "
    "component."
)
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_InferenceComponentRollingUpdatePolicy.html
BATCH = "MaximumBatchSize: the value must be between 5% to 50% of the copy count of the inference component."
# GPUs by the size of an instance. https://aws.amazon.com/sagemaker/ai/pricing/
ACCELERATORS = {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}
ALWAYS_EIGHT = ("ml.p4d.", "ml.p4de.")


class Refused(Exception):
    """SageMaker refuses a request; the message is its own where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """A reading of what SageMaker does where its documentation is open; the defaults are the strictest.

    With `new_first` an update places new copies before it removes old ones ("provisions capacity on the new endpoint
    fleet, routes traffic to that fleet, and terminates capacity on the old"). With `strict_batch` a batch that is not 5
    to 50 % of the copies is refused, one of a single copy among them; else it is rounded up to one copy.
    """

    new_first: bool = True
    strict_batch: bool = True


def accelerators_of(instance: str) -> int:
    """Return the number of GPUs of an instance type."""
    if instance.startswith(ALWAYS_EIGHT):
        return 8
    return ACCELERATORS.get(instance.rpartition(".")[2], 1)


def check_place(variant: dict[str, Any], specification: dict[str, Any], copies: int) -> None:
    """Raise Refused where so many copies at once have no place on the most instances that a variant may have."""
    required = specification["ComputeResourceRequirements"]
    each = math.ceil(float(required.get("NumberOfAcceleratorDevicesRequired", 0)))
    have = accelerators_of(variant["InstanceType"])
    on_one = have // each if each else copies
    managed = variant.get("ManagedInstanceScaling") or {}
    most = int(managed.get("MaxInstanceCount", variant.get("InitialInstanceCount", 1)))
    if on_one == 0 or math.ceil(copies / on_one) > most:
        raise Refused(NO_PLACE)


def check_update(
    variant: dict[str, Any],
    specification: dict[str, Any],
    copies: int,
    config: dict[str, Any] | None,
    readings: Readings,
) -> None:
    """Raise Refused where copies cannot be replaced: in batches by the policy, or all at once without one."""
    batch = _batch(config["RollingUpdatePolicy"], copies, readings) if config else copies
    beside = copies + batch if readings.new_first else copies
    check_place(variant, specification, beside)


def _batch(policy: dict[str, Any], copies: int, readings: Readings) -> int:
    size = policy["MaximumBatchSize"]
    value = float(size["Value"])
    share = value / 100 if size["Type"] == "CAPACITY_PERCENT" else value / max(copies, 1)
    batch = max(1, math.ceil(share * copies))
    # A percentage is within the range for any number of copies, and for one the batch that comes of it is not.
    if not 0.05 <= share <= 0.5 or (readings.strict_batch and batch > copies / 2):
        if readings.strict_batch:
            raise Refused(BATCH)
    return batch
