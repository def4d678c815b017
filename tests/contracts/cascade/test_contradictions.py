"""The metric by which versions are compared: its dimensions are those of its alarm."""

import pytest

from contracts.cascade.contradictions import ALL, CANARY, KEPT, RELEASED, dimensions


@pytest.mark.parametrize("by", [CANARY, RELEASED])
@pytest.mark.parametrize("of", [ALL, KEPT])
def test_a_version_is_compared_with_all_others_of_its_deployment_and_model(
    of: str, by: str
) -> None:
    assert dimensions("shop", "intents", of=of, canary="5eeded000000", by=by) == {
        "deployment": "shop", "model": "intents", "of": of, "canary": "5eeded000000", "by": by,
    }  # fmt: skip
