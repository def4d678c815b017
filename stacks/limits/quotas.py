"""The quotas that GPU tiers need, by the names that Service Quotas has for them."""

# While a version is replaced, the new one runs beside the old one.
INSTANCES_PER_MODEL = 2
QUOTAS = "https://console.aws.amazon.com/servicequotas/home/services"


def endpoint_quota(instance: str) -> str:
    """Return the name of the quota for instances of endpoints; it is 0 in new accounts."""
    return f"{instance} for endpoint usage"


def quota_page(region: str) -> str:
    """Return the page where SageMaker's quotas of a region are seen and raised."""
    return f"https://{region}.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas"


def quota_note(instance: str, region: str) -> str:
    """Return what a deployment says of a GPU tier before AWS may refuse it."""
    return (
        f'needs a quota of {INSTANCES_PER_MODEL} for "{endpoint_quota(instance)}" in {region}, of which new accounts '
        f"have 0: {quota_page(region)}"
    )
