"""The table of AWS's containers has one image of one tag for each region, and none of other partitions."""

import json

import pytest

from stacks.images import IMAGE, IMAGES, llm_image, regions

TABLE = json.loads(IMAGES.read_text("utf-8"))["vllm-server"]


@pytest.mark.parametrize("region", TABLE)
def test_the_image_of_a_region_lies_in_that_region_under_the_one_tag(region: str) -> None:
    found = IMAGE.fullmatch(TABLE[region])
    assert found
    image = llm_image(region)
    assert (image.region, image.repository, image.tag) == (
        region,
        "vllm",
        llm_image("us-east-1").tag,
    )
    # China and GovCloud have other hosts, and AWS publishes none there.
    assert TABLE[region].split("/")[0] == f"{image.account}.dkr.ecr.{region}.amazonaws.com"
    assert not region.startswith(("cn-", "us-gov-", "us-iso"))


def test_regions_that_are_opted_into_have_accounts_of_their_own() -> None:
    accounts = {llm_image(region).account for region in regions()}
    assert llm_image("us-east-1").account == "763104351884"
    assert len(accounts) > 10
