"""Refusals of a GPU by AWS, found in the output of the CDK command line, with what to do about each."""

import re

from stacks.limits.quotas import INSTANCES_PER_MODEL, quota_page

QUOTA = re.compile(
    r"The account-level service limit '([^']+ for endpoint usage)' is (\d+) Instances"
)
CAPACITY = "InsufficientInstanceCapacity"


def refusal(output: str, region: str) -> str:
    """Return why AWS gave no GPU and the next step; empty if it refused none."""
    if found := QUOTA.search(output):
        return (
            f'the account\'s quota "{found[1]}" is {found[2]} in {region}; ask for {INSTANCES_PER_MODEL} at '
            f"{quota_page(region)} and deploy again"
        )
    if CAPACITY in output:
        return (
            f"AWS has no such GPU instance free in {region} at the moment; deploy again later, or set another "
            "`gpu.instance` or `region`"
        )
    return ""
