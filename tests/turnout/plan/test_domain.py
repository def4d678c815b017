"""A custom domain in a plan: its URLs, what is made for it, and no charge."""

from pathlib import Path

import pytest

from contracts.specs import CpuSpec, Deployment, Domain, ModelSpec
from contracts.tasks import Task
from tests.fixtures.synthesis import CERTIFICATE
from turnout.plan.domain import domain_json, shown_domain


def deployment(task: Task, **domain: str) -> Deployment:
    model = ModelSpec(
        name="m", source=Path("nowhere"), task=task, eval=Path("nowhere"), cpu=CpuSpec()
    )
    return Deployment(domain=Domain(name="api.example.org", **domain), models=(model,))


def test_a_deployment_without_a_domain_has_none() -> None:
    assert domain_json(Deployment()) is None


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (
            deployment(Task.TEXT_GENERATION, hosted_zone_id="Z1"),
            "domain: https://api.example.org, streams at https://api.example.org/stream, with a certificate of its own "
            "and its record, at no charge",
        ),
        (
            deployment(Task.FILL_MASK, certificate_arn=CERTIFICATE),
            "domain: https://api.example.org, with your certificate and a record that you make, at no charge",
        ),
        (
            deployment(Task.FILL_MASK, certificate_arn=CERTIFICATE, hosted_zone_id="Z1"),
            "domain: https://api.example.org, with your certificate and its record, at no charge",
        ),
    ],
    ids=["made", "given", "given in a zone"],
)
def test_both_urls_are_named_with_what_is_made(found: Deployment, line: str) -> None:
    document = domain_json(found)
    assert document is not None
    assert shown_domain(document) == line
    assert document["usd_per_month"] == 0
