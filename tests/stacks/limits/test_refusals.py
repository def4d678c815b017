"""A GPU that AWS refuses is told with the quota to raise and its page."""

import pytest

from stacks.limits.refusals import refusal
from tests.fixtures.problems import assert_names

QUOTA = (
    "shop-intents-gpu | 5/9 | CREATE_FAILED | AWS::SageMaker::Endpoint | EndpointG6Xlarge The account-level service "
    "limit 'ml.g6.xlarge for endpoint usage' is 0 Instances, with current utilization of 0 Instances and a request "
    "delta of 1 Instances. Please use AWS Service Quotas to request an increase for this quota."
)
CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."
)


@pytest.mark.parametrize(
    ("output", "things"),
    [
        (
            QUOTA,
            (
                '"ml.g6.xlarge for endpoint usage" is 0 in eu-west-1',
                "ask for 2",
                "https://eu-west-1.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas",
            ),
        ),
        (CAPACITY, ("no such GPU instance free in eu-west-1", "later", "`gpu.instance`")),
    ],
    ids=["quota", "capacity"],
)
def test_a_refusal_is_told_with_what_to_do(output: str, things: tuple[str, ...]) -> None:
    assert_names(refusal(f"before\n{output}\nafter", "eu-west-1"), things)


def test_another_failure_is_none() -> None:
    assert refusal("The account-level service limit 'functions' is 3 Functions", "eu-west-1") == ""
