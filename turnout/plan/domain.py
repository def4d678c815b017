"""The custom domain of a deployment, as a plan has it."""

from typing import Any

from contracts.specs import Deployment


def domain_json(deployment: Deployment) -> dict[str, Any] | None:
    """Return its URLs, and what is made for it, if there is one; the hosted zone is the user's."""
    domain = deployment.domain
    if domain is None:
        return None
    return {
        "url": domain.url,
        "stream_url": domain.stream_url if deployment.streams else None,
        "makes_certificate": not domain.certificate_arn,
        "makes_record": bool(domain.hosted_zone_id),
        "usd_per_month": 0.0,
    }


def shown_domain(domain: dict[str, Any]) -> str:
    """Return what a user reads of it."""
    urls = ", streams at ".join(filter(None, (domain["url"], domain["stream_url"])))
    certificate = "a certificate of its own" if domain["makes_certificate"] else "your certificate"
    record = "its record" if domain["makes_record"] else "a record that you make"
    return f"domain: {urls}, with {certificate} and {record}, at no charge"
