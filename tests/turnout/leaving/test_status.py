"""`turnout status` as a user sees it: what runs, since when, and the dollars with how they are computed."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from contracts.weights.pushed import marker_of, prefix_of
from stacks.instances import find_instance
from tests.fixtures.paths import ROOT
from tests.fixtures.synthesis import SHOP
from turnout.deployed.endpoints import Component, GpuEndpoint
from turnout.deployed.files import AssetFile
from turnout.deployed.images import EcrImage
from turnout.deployed.inventory import Inventory
from turnout.deployed.stacks import Stack
from turnout.deployed.weights import PushedWeights
from turnout.leaving.listing import lines
from turnout.leaving.status import show, status_of

DAY = datetime(2026, 11, 4, 9, 30, tzinfo=UTC)
NOW = datetime(2026, 11, 11, 9, 30, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 20, tzinfo=UTC)
ASSETS = "cdk-hnb659fds-container-assets-123456789012-us-east-1"


def stack(name: str, version: str = "", status: str = "CREATE_COMPLETE") -> Stack:
    facts = json.dumps({"tier": "cpu", "version": version})
    release = {"Type": "AWS::SSM::Parameter", "Properties": {"Value": facts}}
    return Stack(
        name=name,
        identity=f"arn:{name}",
        status=status,
        since=DAY,
        template=json.dumps({"Resources": {"Release": release} if version else {}}),
        outputs=(("Url", "https://a1b2c3.execute-api.us-east-1.amazonaws.com"),)
        if name.endswith("router")
        else (),
    )


def endpoint(name: str, stack: str, since: datetime) -> GpuEndpoint:
    return GpuEndpoint(
        name=name,
        status="InService",
        since=since,
        config="c",
        instance="ml.g6.xlarge",
        instances=1,
        components=(Component(name=name, status="InService", copies=1),),
        stack=stack,
    )


def image(tag: str, size: int, *stacks: str) -> EcrImage:
    return EcrImage(
        repository=ASSETS,
        tag=f"turnout-shop_{tag * 64}",
        digest=f"sha256:{tag * 64}",
        size=size,
        pushed=DAY,
        stacks=stacks,
    )


def weights(digit: str, size: int, *stacks: str) -> PushedWeights:
    bucket, digest = "shop-weights-123456789012-us-east-1", digit * 64
    keys = (marker_of(digest), *(f"{prefix_of(digest)}{number}" for number in range(9)))
    return PushedWeights(
        bucket=bucket,
        region="us-east-1",
        digest=digest,
        files=tuple(AssetFile(bucket=bucket, key=key, version="null") for key in keys),
        uploads=(),
        size=size,
        changed=DAY,
        stacks=stacks,
        wanted=False,
    )


FOUND = Inventory(
    account="123456789012",
    stacks=(
        stack("shop-intents-cpu", "5a460890e811"),
        stack("shop-intents-gpu", "0c1fe2b7a9d3"),
        stack("shop-old-gpu", "77aa19c0de42"),
        stack("shop-router"),
        stack("shop-states"),
    ),
    endpoints=(
        endpoint("shop-intents-gpu-g6-xl", "shop-intents-gpu", DAY),
        endpoint("shop-old-gpu-g6-xl", "shop-old-gpu", OCTOBER),
    ),
    images=(
        image("1", 60_000_000, "shop-intents-cpu"),
        image("2", 2_400_000_000, "shop-intents-gpu"),
        image("3", 2_400_000_000, "shop-old-gpu"),
        image("4", 40_000_000, "shop-router"),
    ),
    weights=(
        weights("1", 16_070_000_000, "shop-intents-gpu"),
        weights("2", 141_110_000_000),
    ),
)


def shown(found: Inventory) -> str:
    console = Console(file=StringIO(), width=160, highlight=False)
    show(status_of(SHOP, found, NOW), console)
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_the_page_has_what_is_shown() -> None:
    page = (ROOT / "docs/leaving.md").read_text("utf-8")
    assert f"```\n{shown(FOUND)}\n```" in page
    gone = [one for one in lines(status_of(SHOP, FOUND, NOW).orphans)]
    assert len(gone) == 4


def test_dollars_begin_with_the_month_or_with_the_endpoint() -> None:
    costs = {one.about: one.usd for one in status_of(SHOP, FOUND, NOW).costs}
    price = find_instance("ml.g6.xlarge").usd_per_hour
    assert costs["shop-intents-gpu"] == pytest.approx(7 * 24 * price)
    # From 1 November on, although it has run since October.
    assert costs["shop-old-gpu"] == pytest.approx((10 * 24 + 9.5) * price)
    assert costs["images"] == pytest.approx(4.9 * 7 * 24 / 730 * 0.10)
    assert costs["weights"] == pytest.approx(157.18 * 7 * 24 / 730 * 0.023)


def test_an_image_under_two_tags_is_paid_for_once() -> None:
    twice = replace(FOUND, images=(*FOUND.images, replace(FOUND.images[0], tag="another")))
    costs = [
        {one.about: one.usd for one in status_of(SHOP, found, NOW).costs}
        for found in (FOUND, twice)
    ]
    assert costs[0] == costs[1]


def test_an_instance_without_a_price_is_said_to_have_none() -> None:
    unknown = replace(FOUND.endpoints[0], instance="ml.p9.xlarge")
    costs = {
        one.about: one for one in status_of(SHOP, replace(FOUND, endpoints=(unknown,)), NOW).costs
    }
    assert costs["shop-intents-gpu"].usd == 0
    assert "no price is known" in costs["shop-intents-gpu"].computed


TARGET = "d-1b2c.execute-api.us-east-1.amazonaws.com"


def with_outputs(**outputs: str) -> Inventory:
    """Return what was found, with more outputs of the router's stack."""
    stacks = [
        replace(one, outputs=(*one.outputs, *outputs.items())) if one.name == "shop-router" else one
        for one in FOUND.stacks
    ]
    return replace(FOUND, stacks=tuple(stacks))


def test_a_domain_is_named_with_its_urls_and_a_record_that_is_left_to_make() -> None:
    urls = {"DomainUrl": "https://api.example.org"}
    header = shown(with_outputs(**urls)).splitlines()[:3]
    assert header == [
        "shop in us-east-1, account 123456789012, at https://a1b2c3.execute-api.us-east-1.amazonaws.com",
        "by its domain at https://api.example.org",
        "",
    ]
    urls |= {"DomainStreamUrl": "https://api.example.org/stream", "DomainTarget": TARGET}
    found = with_outputs(**urls)
    assert shown(found).splitlines()[1:3] == [
        "by its domain at https://api.example.org, streams at https://api.example.org/stream",
        f"the record that is yours to make: api.example.org CNAME {TARGET}",
    ]
    assert status_of(SHOP, found, NOW).to_json()["domain"] == {
        "url": urls["DomainUrl"],
        "stream_url": urls["DomainStreamUrl"],
        "target": TARGET,
    }
    assert status_of(SHOP, FOUND, NOW).to_json()["domain"] is None


def test_the_document_has_the_same_for_programs() -> None:
    document = status_of(SHOP, FOUND, NOW).to_json()
    by_name = {one["stack"]: one for one in document["stacks"]}
    assert by_name["shop-words-cpu"] == {"stack": "shop-words-cpu", "state": "not deployed"}
    assert by_name["shop-intents-gpu"]["version"] == "0c1fe2b7a9d3"
    assert by_name["shop-old-gpu"]["orphan"] is True
    assert document["usd_this_month"] == round(sum(one["usd"] for one in document["costs"]), 2)
    assert [one["stack"] for one in document["orphans"]["stacks"]] == ["shop-old-gpu"]
    json.dumps(document, default=str)
