"""An account is asked by botocore's own clients, whose stubs answer what the service models allow."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber

from contracts.specs import Domain, Throttle
from tests.fixtures.synthesis import INTENTS, SHOP
from turnout.doctor.account import account_findings
from turnout.doctor.domain import ZONE
from turnout.doctor.finding import Finding, Level

IDENTITY = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/dev", "UserId": "x"}
QUOTA = "ml.g6.xlarge for endpoint usage"


@dataclass(slots=True)
class Aws:
    """Stubbed clients by service; by default the account has all that SHOP needs."""

    undo: ExitStack
    stubs: dict[str, Stubber] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return self.stub(service).client

    def stub(self, service: str) -> Stubber:
        if service not in self.stubs:
            made = boto3.client(
                service,
                region_name="us-east-1",
                aws_access_key_id="local",
                aws_secret_access_key="local",
            )
            self.stubs[service] = self.undo.enter_context(Stubber(made))
        return self.stubs[service]

    def ready(
        self,
        *,
        bootstrap: str = "30",
        functions: int = 1000,
        gpus: float = 2.0,
        pages: Sequence[Sequence[dict[str, Any]]] = ((),),
    ) -> None:
        self.stub("sts").add_response("get_caller_identity", IDENTITY)
        self.stub("ssm").add_response("get_parameter", {"Parameter": {"Value": bootstrap}})
        self.stub("lambda").add_response(
            "get_account_settings", {"AccountLimit": {"ConcurrentExecutions": functions}}
        )
        self.stub("service-quotas").add_response(
            "list_service_quotas",
            {"Quotas": [{"QuotaName": "other", "Value": 1.0}], "NextToken": "more"},
        )
        self.stub("service-quotas").add_response(
            "list_service_quotas", {"Quotas": [{"QuotaName": QUOTA, "Value": gpus}]}
        )
        for number, stacks in enumerate(pages, 1):
            more = {"NextToken": "more"} if number < len(pages) else {}
            self.stub("cloudformation").add_response(
                "describe_stacks", {"Stacks": list(stacks), **more}
            )

    def found(self, deployment: Any = SHOP) -> dict[str, Finding]:
        findings = account_findings(deployment, NOWHERE, self.client)
        by_subject = {one.about: one for one in findings}
        assert len(by_subject) == len(findings)
        return by_subject


def stack(name: str, **tags: str) -> dict[str, Any]:
    return {
        "StackName": name,
        "CreationTime": "2026-11-26T00:00:00Z",
        "StackStatus": "CREATE_COMPLETE",
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


NOWHERE = Path("nowhere")
DERIVED = replace(SHOP, throttle=Throttle())


@pytest.fixture
def aws() -> Iterator[Aws]:
    with ExitStack() as undo:
        yield Aws(undo)


def test_an_account_that_has_everything_is_said_to(aws: Aws) -> None:
    aws.ready()
    found = aws.found()
    assert {name: one.level for name, one in found.items()} == {
        "credentials": Level.HOLDS,
        "bootstrap": Level.HOLDS,
        "Lambda concurrency": Level.HOLDS,
        QUOTA: Level.HOLDS,
    }
    assert "123456789012" in found["credentials"].message
    for stub in aws.stubs.values():
        stub.assert_no_pending_responses()


def test_without_credentials_nothing_else_is_asked() -> None:
    def client(service: str) -> Any:
        assert service == "sts"
        raise NoCredentialsError

    (found,) = account_findings(SHOP, NOWHERE, client)
    assert (found.level, found.about) == (Level.FAILS, "credentials")
    assert "aws configure" in found.next_step


def test_an_account_without_a_bootstrap_is_given_the_command(aws: Aws) -> None:
    aws.stub("sts").add_response("get_caller_identity", IDENTITY)
    aws.stub("ssm").add_client_error("get_parameter", "ParameterNotFound")
    for service, call in (
        ("lambda", "get_account_settings"),
        ("service-quotas", "list_service_quotas"),
        ("cloudformation", "describe_stacks"),
    ):
        aws.stub(service).add_client_error(call, "AccessDeniedException", "not allowed")
    found = aws.found()
    assert found["bootstrap"].level is Level.FAILS
    assert found["bootstrap"].next_step == "npx cdk bootstrap aws://123456789012/us-east-1"
    # What may not be asked is not known, which is no failure and no success.
    others = ("Lambda concurrency", "GPU quotas", "orphans")
    assert {found[name].level for name in others} == {Level.UNKNOWN}
    assert "GetAccountSettings was refused: not allowed" in found["Lambda concurrency"].message


def test_an_old_bootstrap_fails(aws: Aws) -> None:
    aws.ready(bootstrap="5")
    found = aws.found()["bootstrap"]
    assert (found.level, found.message) == (Level.FAILS, "version 5; 6 is needed")


def test_a_new_accounts_ten_functions_are_five_requests(aws: Aws) -> None:
    aws.ready(functions=10)
    found = aws.found()["Lambda concurrency"]
    assert found.level is Level.WARNS
    assert "are 5 requests; the API lets 5 requests a second and 9 at once through" in found.message
    assert "`concurrency = 10` and no `throttle`" in found.next_step
    aws.ready(functions=10)
    assert aws.found(DERIVED)["Lambda concurrency"].level is Level.HOLDS


def test_a_concurrency_that_the_account_lacks_or_exceeds_is_said(aws: Aws) -> None:
    aws.ready(functions=10)
    found = aws.found(replace(DERIVED, concurrency=1000))["Lambda concurrency"]
    assert (found.level, "of which 10 functions" in found.message) == (Level.WARNS, True)
    aws.ready(functions=1000)
    found = aws.found(DERIVED)["Lambda concurrency"]
    assert found.level is Level.NOTE
    assert "models.toml counts on 10" in found.message
    assert "set `concurrency = 1000`" in found.next_step


@pytest.mark.parametrize(
    ("quota", "level"), [(0.0, Level.FAILS), (1.0, Level.WARNS), (2.0, Level.HOLDS)]
)
def test_a_gpu_needs_a_quota_and_a_second_one_for_updates(
    aws: Aws, quota: float, level: Level
) -> None:
    aws.ready(gpus=quota)
    found = aws.found()[QUOTA]
    assert found.level is level
    assert ("ask for 2" in found.next_step) == (level is not Level.HOLDS)


def test_an_instance_that_the_region_does_not_offer_is_named(aws: Aws) -> None:
    aws.ready()
    assert INTENTS.gpu is not None
    other = replace(INTENTS, gpu=replace(INTENTS.gpu, instance="ml.p5.4xlarge"))
    found = aws.found(replace(SHOP, models=(other,)))["ml.p5.4xlarge for endpoint usage"]
    assert found.level is Level.FAILS
    assert "us-east-1 has no such quota" in found.message


def test_stacks_that_models_toml_no_longer_has_are_named_with_the_command(aws: Aws) -> None:
    left = stack("shop-gone-gpu", turnout="shop")
    own = [stack("shop-router", turnout="shop"), stack("shop-intents-gpu", turnout="shop")]
    foreign = stack("shop-elsewhere-gpu", turnout="another")
    aws.ready(pages=[[*own, foreign, stack("untagged")], [left]])
    found = aws.found()["orphans"]
    assert found.level is Level.WARNS
    assert "shop-gone-gpu is deployed" in found.message
    assert found.next_step == "turnout orphans --delete"


def test_the_domain_of_a_deployment_is_looked_at(aws: Aws) -> None:
    aws.ready()
    aws.stub("route53").add_client_error("get_hosted_zone", "NoSuchHostedZone")
    domain = Domain(name="api.example.org", hosted_zone_id="Z1")
    assert aws.found(replace(SHOP, domain=domain))[ZONE].level is Level.FAILS


def test_memory_that_new_accounts_may_not_have_is_noted(aws: Aws) -> None:
    aws.ready()
    assert INTENTS.cpu is not None
    large = replace(INTENTS, cpu=replace(INTENTS.cpu, memory_mb=4096))
    found = aws.found(replace(SHOP, models=(large,)))["Lambda memory"]
    assert found.level is Level.NOTE
    assert found.message.startswith("shop-intents-cpu: more than the 3,008 MB")
