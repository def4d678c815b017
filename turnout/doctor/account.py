"""Checks of an AWS account: they read and change nothing.

Each returns findings about one thing. A call that AWS refuses or that never arrives makes a finding as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from contracts.limits import ENVIRONMENTS_PER_REQUEST
from contracts.names import model_stack
from contracts.specs import Deployment
from stacks.limits.quotas import INSTANCES_PER_MODEL, QUOTAS, endpoint_quota, quota_page
from stacks.limits.throttle import stage_throttle, throttle_warning
from turnout.deployed.clients import CREDENTIALS_STEP, Client, Clients
from turnout.deployed.stacks import stacks_of, tagged_stacks
from turnout.doctor.asking import asked
from turnout.doctor.container import container_findings
from turnout.doctor.domain import domain_findings
from turnout.doctor.finding import Finding, Level

# The qualifier of a bootstrap without one of its own, and the version that our stacks' assets need.
# https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
BOOTSTRAP, BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version", 6
# What AWS lets new accounts have, of which no call tells.
NEW_ACCOUNT_MEMORY_MB = 3008
CONCURRENCY = f"{QUOTAS}/lambda/quotas/L-B99A9384"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account that credentials are for, and clients of its services in the deployment's region."""

    number: str
    deployment: Deployment
    out: Path
    clients: Clients


def account_findings(deployment: Deployment, out: Path, clients: Clients) -> list[Finding]:
    """Return the findings about an account; without credentials there is one alone."""
    found = asked("credentials", lambda: clients("sts").get_caller_identity())
    if isinstance(found, Finding):
        return [
            Finding(
                level=Level.FAILS,
                about="credentials",
                message=found.message,
                next_step=CREDENTIALS_STEP,
            )
        ]
    account = Account(number=found["Account"], deployment=deployment, out=out, clients=clients)
    who = Finding(
        level=Level.HOLDS,
        about="credentials",
        message=f"account {account.number} as {found['Arn']}, region {deployment.region}",
    )
    return [who, *(finding for check in CHECKS for finding in check(account))]


def bootstrapped(account: Account) -> list[Finding]:
    """Find out whether `cdk bootstrap` has been run."""
    about, ssm = "bootstrap", account.clients("ssm")
    step = f"npx cdk bootstrap aws://{account.number}/{account.deployment.region}"
    found = asked(about, lambda: _version(ssm))
    if isinstance(found, Finding):
        return [found]
    if found is None:
        message = "the account has no bootstrap stack in this region"
        return [Finding(level=Level.FAILS, about=about, message=message, next_step=step)]
    message = f"version {found}"
    if found < BOOTSTRAP_VERSION:
        message += f"; {BOOTSTRAP_VERSION} is needed"
        return [Finding(level=Level.FAILS, about=about, message=message, next_step=step)]
    return [Finding(level=Level.HOLDS, about=about, message=message)]


def _version(ssm: Client) -> int | None:
    try:
        return int(ssm.get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        return None


def concurrency(account: Account) -> list[Finding]:
    """Compare the functions that may run at once with those that the throttle counts on."""
    about = "Lambda concurrency"
    found = asked(about, lambda: account.clients("lambda").get_account_settings())
    if isinstance(found, Finding):
        return [found]
    limit, deployment = int(found["AccountLimit"]["ConcurrentExecutions"]), account.deployment
    message = (
        f"{limit} functions may run at once, which are {limit // ENVIRONMENTS_PER_REQUEST} requests"
    )
    level, step = Level.HOLDS, ""
    real = replace(deployment, concurrency=limit)
    if warning := throttle_warning(deployment, account.out, limit):
        level, message = Level.WARNS, f"{message}; {warning}"
        step = f"ask for more at {CONCURRENCY}, or set `concurrency = {limit}` and no `throttle` in [deployment]"
    elif stage_throttle(deployment, account.out) != stage_throttle(real, account.out):
        level = Level.NOTE
        message = f"{message}; models.toml counts on {deployment.concurrency}"
        step = f"set `concurrency = {limit}` in [deployment], and the API lets more through"
    return [Finding(level=level, about=about, message=message, next_step=step)]


def memory(account: Account) -> list[Finding]:
    """Name the functions with more memory than a new account may have."""
    large = [
        model_stack(account.deployment.name, model.name, tier)
        for model in account.deployment.models
        for tier, spec in model.tiers.items()
        if spec is model.cpu and spec.memory_mb > NEW_ACCOUNT_MEMORY_MB
    ]
    if not large:
        return []
    message = (
        f"{', '.join(large)}: more than the {NEW_ACCOUNT_MEMORY_MB:,} MB that some new accounts may have; no call "
        "tells whether yours is one"
    )
    step = "if the deployment is refused, ask AWS's support for 10,240 MB, or set `memory_mb`"
    return [Finding(level=Level.NOTE, about="Lambda memory", message=message, next_step=step)]


def gpu_quotas(account: Account) -> list[Finding]:
    """Compare the quota of each GPU instance type with what the deployment needs, and during an update."""
    needed: dict[str, int] = {}
    for model in account.deployment.models:
        if model.gpu:
            needed[model.gpu.instance] = needed.get(model.gpu.instance, 0) + 1
    if not needed:
        return []
    found = asked("GPU quotas", lambda: _sagemaker_quotas(account.clients("service-quotas")))
    if isinstance(found, Finding):
        return [found]
    return [_gpu_quota(account, instance, count, found) for instance, count in needed.items()]


def _sagemaker_quotas(client: Client) -> dict[str, float]:
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    return {quota["QuotaName"]: quota["Value"] for page in pages for quota in page["Quotas"]}


def _gpu_quota(account: Account, instance: str, models: int, quotas: dict[str, float]) -> Finding:
    name = endpoint_quota(instance)
    if name not in quotas:
        return Finding(
            level=Level.FAILS,
            about=name,
            message=f"SageMaker in {account.deployment.region} has no such quota, so it does not offer the instance",
            next_step="choose another `gpu.instance` or another `region`",
        )
    quota, wanted = int(quotas[name]), models * INSTANCES_PER_MODEL
    message = f"the quota is {quota}; {models} run all the time, and {wanted} during updates"
    if quota >= wanted:
        return Finding(level=Level.HOLDS, about=name, message=message)
    return Finding(
        level=Level.FAILS if quota < models else Level.WARNS,
        about=name,
        message=message,
        next_step=f"ask for {wanted} at {quota_page(account.deployment.region)}; CPU tiers are deployed all the same",
    )


def orphans(account: Account) -> list[Finding]:
    """Name the stacks of this deployment that `models.toml` no longer has: no `cdk` command deletes them."""
    about, deployment = "orphans", account.deployment
    found = asked(about, lambda: tagged_stacks(account.clients("cloudformation"), deployment))
    if isinstance(found, Finding):
        return [found]
    own = stacks_of(deployment)
    return [
        Finding(
            level=Level.WARNS,
            about=about,
            message=f"{name} is deployed, and models.toml no longer has it: what it runs is still paid for",
            next_step="turnout orphans --delete",
        )
        for name in (stack["StackName"] for stack in found)
        if name not in own
    ]


def custom_domain(account: Account) -> list[Finding]:
    """Look for the certificate and the hosted zone of the deployment's domain."""
    return domain_findings(account.deployment.domain, account.clients)


def containers(account: Account) -> list[Finding]:
    """Compare vLLM's container with the one that models were pushed for."""
    return container_findings(account.deployment, account.out, account.clients)


CHECKS: Sequence[Callable[[Account], list[Finding]]] = (
    bootstrapped,
    concurrency,
    memory,
    gpu_quotas,
    containers,
    custom_domain,
    orphans,
)
