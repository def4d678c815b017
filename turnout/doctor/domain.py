"""Checks of a custom domain: the certificate, the hosted zone, and records that are in the way."""

from functools import partial
from typing import Any

from contracts.specs import Domain
from turnout.deployed.clients import Client, Clients
from turnout.doctor.asking import asked
from turnout.doctor.finding import Finding, Level

CERTIFICATE, ZONE = "certificate of the domain", "zone of the domain"
RECORD, CAA = "record of the domain", "CAA records of the domain"
# The authorities of ACM's certificates, as CAA records name them.
# https://docs.aws.amazon.com/acm/latest/userguide/setup-caa.html
ISSUERS = {"amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"}
# Types of records that an alias of a name cannot stand beside.
TAKEN = ("A", "AAAA", "CNAME")
# What the names end in that API Gateway makes up for custom domains.
GATEWAY = ".execute-api."


def domain_findings(domain: Domain | None, clients: Clients) -> list[Finding]:
    """Return the findings about the domain of a deployment, if it has one."""
    if domain is None:
        return []
    found = [_certificate(domain, clients("acm"))] if domain.certificate_arn else []
    return [*found, *(_zone(domain, clients("route53")) if domain.hosted_zone_id else ())]


def covers(names: set[str], name: str) -> bool:
    """Return True if a certificate of those names is one of a name; a `*` stands for one label."""
    return bool({name, f"*.{name.partition('.')[2]}"} & names)


def _certificate(domain: Domain, acm: Client) -> Finding:
    def described() -> Any:
        try:
            return acm.describe_certificate(CertificateArn=domain.certificate_arn)["Certificate"]
        except acm.exceptions.ResourceNotFoundException:
            return None

    found = asked(CERTIFICATE, described)
    if isinstance(found, Finding):
        return found
    step = "name another `certificate_arn`; with `hosted_zone_id` and none, one is made"
    if found is None:
        return _fails(CERTIFICATE, f"the account has no {domain.certificate_arn}", step)
    names = {found["DomainName"], *found.get("SubjectAlternativeNames", ())}
    if not covers(names, domain.name):
        message = f"it is one of {', '.join(sorted(names))}, and not of {domain.name}"
        return _fails(CERTIFICATE, message, step)
    if found["Status"] != "ISSUED":
        message = f"it is {found['Status']}, and API Gateway takes one that is ISSUED"
        region = domain.certificate_arn.split(":")[3]
        step = (
            f"https://{region}.console.aws.amazon.com/acm/home shows what its validation waits for"
        )
        return _fails(CERTIFICATE, message, step)
    return Finding(level=Level.HOLDS, about=CERTIFICATE, message=f"issued for {domain.name}")


def _zone(domain: Domain, route53: Client) -> list[Finding]:
    def described() -> Any:
        try:
            return route53.get_hosted_zone(Id=domain.hosted_zone_id)["HostedZone"]
        except route53.exceptions.NoSuchHostedZone:
            return None

    found = asked(ZONE, described)
    if isinstance(found, Finding):
        return [found]
    step = (
        "name another `hosted_zone_id`: `aws route53 list-hosted-zones` shows those of the account"
    )
    if found is None:
        return [_fails(ZONE, f"the account has no hosted zone {domain.hosted_zone_id}", step)]
    zone = found["Name"].rstrip(".")
    if found.get("Config", {}).get("PrivateZone"):
        return [_fails(ZONE, f"{zone} is private: neither callers nor ACM see its records", step)]
    if domain.name != zone and not domain.name.endswith(f".{zone}"):
        return [_fails(ZONE, f"it is {zone}, which {domain.name} is not in", step)]
    holds = Finding(level=Level.HOLDS, about=ZONE, message=f"{zone} is public, and has the name")
    findings = [holds, *_records(domain, route53)]
    return findings if domain.certificate_arn else [*findings, *_caa(domain, zone, route53)]


def _records(domain: Domain, route53: Client) -> list[Finding]:
    """Return a finding of a record that CloudFormation would not replace."""
    found = asked(
        RECORD,
        lambda: route53.list_resource_record_sets(
            HostedZoneId=domain.hosted_zone_id, StartRecordName=domain.name, MaxItems="20"
        ),
    )
    if isinstance(found, Finding):
        return [found]
    there = [
        one["Type"]
        for one in found["ResourceRecordSets"]
        if one["Name"].rstrip(".") == domain.name
        and one["Type"] in TAKEN
        and GATEWAY not in one.get("AliasTarget", {}).get("DNSName", "")
    ]
    if not there:
        return []
    return [
        Finding(
            level=Level.WARNS,
            about=RECORD,
            message=f"{domain.name} has a record already ({', '.join(there)}): the deployment is taken back",
            next_step="delete it first, or leave `hosted_zone_id` out and change its value afterwards",
        )
    ]


def _caa(domain: Domain, zone: str, route53: Client) -> list[Finding]:
    """Return a finding if the nearest CAA records, the name's or a parent's, let no authority of ACM's issue.

    https://www.rfc-editor.org/rfc/rfc8659#section-3
    """
    name = domain.name
    while name == zone or name.endswith(f".{zone}"):
        found = asked(CAA, partial(_caa_of, name, domain.hosted_zone_id, route53))
        if isinstance(found, Finding):
            return [found]
        if found:
            issuers = {issuer for tag, issuer in found if tag == "issue"}
            if not issuers or issuers & ISSUERS:
                return []
            named = ", ".join(sorted(filter(None, issuers))) or "nobody"
            message = f"those of {name} let {named} issue certificates, and not Amazon"
            return [_fails(CAA, message, f'add `0 issue "amazon.com"` to those of {name}')]
        name = name.partition(".")[2]
    return []


def _caa_of(name: str, zone: str, route53: Client) -> list[tuple[str, str]]:
    """Return the tags and issuers of a name's CAA records."""
    found = route53.list_resource_record_sets(
        HostedZoneId=zone, StartRecordName=name, StartRecordType="CAA", MaxItems="1"
    )
    return [
        (tag, issuer.strip('"').partition(";")[0].strip())
        for one in found["ResourceRecordSets"]
        if one["Name"].rstrip(".") == name and one["Type"] == "CAA"
        for value in one.get("ResourceRecords", ())
        for _, tag, issuer in [value["Value"].split(maxsplit=2)]
    ]


def _fails(about: str, message: str, step: str) -> Finding:
    return Finding(level=Level.FAILS, about=about, message=message, next_step=step)
