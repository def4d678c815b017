"""The cost of a deployment while it is idle, from the prices in `stacks/instances.py`."""

from stacks.instances import find_instance

# 365 days of 24 hours in 12 months, as the AWS Pricing Calculator has it.
HOURS_PER_MONTH = 730


def idle_gpu_cost(instance: str) -> float:
    """Return US dollars per month (730 h) of one instance that runs all the time."""
    return find_instance(instance).usd_per_hour * HOURS_PER_MONTH
