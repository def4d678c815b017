"""The watch of a cascade is the row of its calibration."""

from dataclasses import replace

from contracts.cascade.drift import drift_key
from contracts.routes import Cascade
from contracts.states.rows import Row
from functions.router.targets.drift import drift_keys, is_withdrawn, unwatched, watched
from tests.fixtures.router_app import INTENTS, ROUTES

CASCADE = Cascade(
    threshold=0.8,
    parameters={},
    rows=500,
    kept=0.7,
    lost=0.0,
    bound=0.01,
    assurance=0.95,
    digest="d" * 64,
)
CASCADED = replace(INTENTS, cascade=CASCADE)
KEY = drift_key("support-intent", "d" * 64)


def test_the_keys_are_those_of_the_cascades_that_are_on() -> None:
    off = replace(CASCADED, model="other", cascade=replace(CASCADE, off="other artefacts"))
    models = {"support-intent": CASCADED, "other": off, "plain": INTENTS}
    assert drift_keys(replace(ROUTES, models=models)) == [KEY]
    assert KEY == "drift#support-intent#dddddddddddd"


def test_a_watch_is_what_its_row_says() -> None:
    document = {"samples": 3, "withdrawn": True}
    rows = {KEY: Row(key=KEY, written_at=1, expires_at=2, document=document)}
    assert watched(rows.get, CASCADED) == document
    assert watched(rows.get, replace(CASCADED, cascade=replace(CASCADE, digest="e" * 64))) is None
    assert watched(rows.get, INTENTS) is None
    assert unwatched(CASCADED) is None


def test_only_a_row_that_says_so_withdraws_a_threshold() -> None:
    documents: tuple[dict[str, object] | None, ...] = (
        None,
        {},
        {"withdrawn": False},
        {"withdrawn": "yes"},
        {"withdrawn": True},
    )
    assert [is_withdrawn(document) for document in documents] == [False] * 4 + [True]
