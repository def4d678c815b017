"""Names by which a deployment finds what is its own, among those of deployments whose names begin alike."""

from collections.abc import Callable

import pytest

from contracts.names import (
    asset_prefix,
    image_tag_prefix,
    model_stack,
    router_stack,
    stream_function,
)
from contracts.tasks import Tier


@pytest.mark.parametrize("prefix", [asset_prefix, image_tag_prefix])
def test_no_prefix_begins_that_of_another_deployment(prefix: Callable[[str], str]) -> None:
    names = ("shop", "shop-eu", "sho", "shop1")
    found = [prefix(name) for name in names]
    alike = [(a, b) for a in found for b in found if a != b and b.startswith(a)]
    assert (alike, len(set(found))) == ([], len(names))
    assert all(name in one for name, one in zip(names, found, strict=True))


def test_no_function_of_a_model_is_named_like_the_routers() -> None:
    routers = {router_stack("shop"), stream_function("shop")}
    assert len(routers) == 2
    models = ("router", "router-stream", "stream")
    assert not {model_stack("shop", model, tier) for model in models for tier in Tier} & routers
