"""The certificate, the zone and the record of a custom domain, asked of botocore's own clients with stubs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from contracts.specs import Domain
from turnout.doctor.domain import CAA, CERTIFICATE, RECORD, ZONE, domain_findings
from turnout.doctor.finding import Finding, Level

NAME, ID = "api.example.org", "Z0123456789ABCDEFGHIJ"
ARN = "arn:aws:acm:us-east-1:123456789012:certificate/1b2c-3d4e-5f60"
GIVEN = Domain(name=NAME, certificate_arn=ARN)
MADE = Domain(name=NAME, hosted_zone_id=ID)
Stub = Callable[[str], Stubber]


@pytest.fixture
def stub() -> Iterator[Stub]:
    """Yield a function from a service to its stub, whose answers are all asked for."""
    made: dict[str, Stubber] = {}
    with ExitStack() as undo:

        def of(service: str) -> Stubber:
            if service not in made:
                client = boto3.client(
                    service,
                    region_name="us-east-1",
                    aws_access_key_id="local",
                    aws_secret_access_key="local",
                )
                made[service] = undo.enter_context(Stubber(client))
            return made[service]

        yield of
        for one in made.values():
            one.assert_no_pending_responses()


def found(stub: Stub, domain: Domain | None) -> dict[str, Finding]:
    return {one.about: one for one in domain_findings(domain, lambda service: stub(service).client)}


def certificate(stub: Stub, status: str = "ISSUED", *others: str, name: str = NAME) -> None:
    described = {"DomainName": name, "SubjectAlternativeNames": [name, *others], "Status": status}
    stub("acm").add_response("describe_certificate", {"Certificate": described})


def zone(stub: Stub, name: str = "example.org.", *, private: bool = False) -> None:
    described = {
        "Id": f"/hostedzone/{ID}",
        "Name": name,
        "CallerReference": "x",
        "Config": {"PrivateZone": private},
    }
    stub("route53").add_response("get_hosted_zone", {"HostedZone": described})


def records(stub: Stub, *sets: dict[str, Any]) -> None:
    answer = {"ResourceRecordSets": list(sets), "IsTruncated": False, "MaxItems": "20"}
    asked = {"HostedZoneId": ID, "StartRecordName": NAME, "MaxItems": "20"}
    stub("route53").add_response("list_resource_record_sets", answer, asked)


def caa(stub: Stub, name: str, *values: str) -> None:
    """Have a name's CAA records asked for; Route 53 answers with the next record where there are none."""
    found = other(f"{name}.", "CAA") if values else other(f"x.{name}.", "A")
    if values:
        found["ResourceRecords"] = [{"Value": value} for value in values]
    answer = {"ResourceRecordSets": [found], "IsTruncated": True, "MaxItems": "1"}
    asked = {"HostedZoneId": ID, "StartRecordName": name, "StartRecordType": "CAA", "MaxItems": "1"}
    stub("route53").add_response("list_resource_record_sets", answer, asked)


def without_caa(stub: Stub, zone: str = "example.org") -> None:
    names = (NAME, "example.org", "org")
    for name in names[: names.index(zone) + 1]:
        caa(stub, name)


def alias(name: str, to: str) -> dict[str, Any]:
    target = {"HostedZoneId": "Z2", "DNSName": to, "EvaluateTargetHealth": False}
    return {"Name": name, "Type": "A", "AliasTarget": target}


def other(name: str, kind: str) -> dict[str, Any]:
    return {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": "x"}]}


def test_a_deployment_without_a_domain_is_asked_nothing(stub: Stub) -> None:
    assert found(stub, None) == {}


@pytest.mark.parametrize(
    ("name", "others"),
    [(NAME, ()), ("*.example.org", ()), ("example.org", ("*.example.org",))],
    ids=["its own", "a wildcard", "another of its names"],
)
def test_a_certificate_that_covers_the_name_holds(
    stub: Stub, name: str, others: tuple[str, ...]
) -> None:
    certificate(stub, "ISSUED", *others, name=name)
    assert found(stub, GIVEN)[CERTIFICATE].level is Level.HOLDS


@pytest.mark.parametrize(
    "name", ["example.org", "*.api.example.org", "*.org", "api.example.org.example"]
)
def test_a_certificate_of_other_names_fails(stub: Stub, name: str) -> None:
    certificate(stub, name=name)
    one = found(stub, GIVEN)[CERTIFICATE]
    assert (one.level, name in one.message) == (Level.FAILS, True)
    assert "certificate_arn" in one.next_step


def test_a_certificate_that_is_not_issued_or_not_there_fails(stub: Stub) -> None:
    certificate(stub, "PENDING_VALIDATION")
    one = found(stub, GIVEN)[CERTIFICATE]
    assert (one.level, "PENDING_VALIDATION" in one.message) == (Level.FAILS, True)
    assert one.next_step.startswith("https://us-east-1.console.aws.amazon.com/acm/")
    stub("acm").add_client_error("describe_certificate", "ResourceNotFoundException")
    one = found(stub, GIVEN)[CERTIFICATE]
    assert (one.level, ARN in one.message) == (Level.FAILS, True)


def test_what_may_not_be_asked_is_not_known(stub: Stub) -> None:
    stub("acm").add_client_error("describe_certificate", "AccessDeniedException", "no")
    assert found(stub, GIVEN)[CERTIFICATE].level is Level.UNKNOWN
    stub("route53").add_client_error("get_hosted_zone", "AccessDenied", "no")
    assert found(stub, MADE)[ZONE].level is Level.UNKNOWN
    zone(stub)
    for _ in range(2):
        stub("route53").add_client_error("list_resource_record_sets", "AccessDenied", "no")
    unknown = found(stub, MADE)
    assert (unknown[RECORD].level, unknown[CAA].level) == (Level.UNKNOWN, Level.UNKNOWN)


@pytest.mark.parametrize("name", ["example.org.", "api.example.org.", "org."])
def test_a_public_zone_that_the_name_is_in_holds(stub: Stub, name: str) -> None:
    zone(stub, name)
    records(stub, other(f"www.{NAME}.", "A"))
    without_caa(stub, name.rstrip("."))
    assert {about: one.level for about, one in found(stub, MADE).items()} == {ZONE: Level.HOLDS}


@pytest.mark.parametrize(
    ("name", "private", "said"),
    [
        ("example.com.", False, "it is example.com"),
        ("ample.org.", False, "it is ample.org"),
        ("example.org.", True, "example.org is private"),
    ],
)
def test_a_zone_of_other_names_or_a_private_one_fails(
    stub: Stub, name: str, private: bool, said: str
) -> None:
    zone(stub, name, private=private)
    one = found(stub, MADE)[ZONE]
    assert one.level is Level.FAILS
    assert one.message.startswith(said)
    assert "hosted_zone_id" in one.next_step


def test_a_zone_that_is_not_there_fails(stub: Stub) -> None:
    stub("route53").add_client_error("get_hosted_zone", "NoSuchHostedZone")
    one = found(stub, MADE)[ZONE]
    assert (one.level, ID in one.message) == (Level.FAILS, True)


def test_a_record_in_the_place_of_its_own_is_warned_of(stub: Stub) -> None:
    zone(stub)
    records(stub, other(f"{NAME}.", "CNAME"), alias(f"{NAME}.", "d-1.cloudfront.net."))
    without_caa(stub)
    one = found(stub, MADE)[RECORD]
    assert (one.level, "(CNAME, A)" in one.message) == (Level.WARNS, True)


def test_the_record_that_a_deployment_has_made_is_in_nobodys_place(stub: Stub) -> None:
    zone(stub)
    records(
        stub,
        other(f"{NAME}.", "TXT"),
        alias(f"{NAME}.", "d-1.execute-api.us-east-1.amazonaws.com."),
    )
    without_caa(stub)
    assert set(found(stub, MADE)) == {ZONE}


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        (('0 issue "letsencrypt.org"',), False),
        (('0 issue ";"',), False),
        (('0 issue "letsencrypt.org"', '0 issue "amazon.com"'), True),
        (('0 issue "amazontrust.com; policy=ev"',), True),
        (('0 iodef "mailto:dns@example.org"',), True),
        (('0 issuewild ";"',), True),
    ],
    ids=["another's", "nobody's", "Amazon's too", "with a parameter", "a report", "wildcards"],
)
def test_caa_records_of_a_parent_that_keep_amazon_out_fail(
    stub: Stub, values: tuple[str, ...], allowed: bool
) -> None:
    zone(stub)
    records(stub)
    caa(stub, NAME)
    caa(stub, "example.org", *values)
    one = found(stub, MADE).get(CAA)
    assert (one is None) == allowed
    if one:
        assert (one.level, "those of example.org let" in one.message) == (Level.FAILS, True)
        assert '0 issue "amazon.com"' in one.next_step


def test_the_nearest_caa_records_decide(stub: Stub) -> None:
    zone(stub)
    records(stub)
    caa(stub, NAME, '0 issue "amazon.com"')
    assert set(found(stub, MADE)) == {ZONE}


def test_a_zone_and_a_certificate_are_both_looked_for(stub: Stub) -> None:
    certificate(stub)
    zone(stub)
    records(stub)
    both = Domain(name=NAME, hosted_zone_id=ID, certificate_arn=ARN)
    assert list(found(stub, both)) == [CERTIFICATE, ZONE]
