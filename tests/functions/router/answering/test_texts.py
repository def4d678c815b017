"""Generated texts in the line of log, and the metrics that it makes of them."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Target
from contracts.tasks import Tier
from functions.router.answering.answers import log_texts
from tests.fixtures.router_app import FakeTier, log_line, router
from tests.functions.router.openai.deployment import ALL
from tests.functions.router.openai.writing_tier import WritingTier

ASKED = {"inputs": ["one two", "three"]}


def logged(caplog: pytest.LogCaptureFixture, path: str, tier: FakeTier) -> dict[str, Any]:
    with caplog.at_level(logging.INFO, "turnout.access"):
        given = router({Tier.CPU: tier}, routes=ALL)("POST", path, json.dumps(ASKED))
    assert given["statusCode"] == 200
    return log_line(caplog)


def metric_names(line: dict[str, Any]) -> set[str]:
    return {one["Name"] for of in line["_aws"]["CloudWatchMetrics"] for one in of["Metrics"]}


class Wavering(WritingTier):
    """A tier that is less sure of the second text than of the first."""

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        given = WritingTier.predict(self, target, request)
        sure = (0.9, 0.6)
        return replace(
            given,
            outputs=tuple({**o, "confidence": c} for o, c in zip(given.outputs, sure, strict=True)),
        )


def test_texts_are_logged_with_their_tokens_and_their_mean_confidence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = logged(caplog, "/v1/models/writer/predict", Wavering())
    assert (line["tokens"], line["confidence"]) == (14, 0.75)
    assert metric_names(line) == {"errors", "ms", "tokens", "confidence"}


def test_texts_of_drawn_tokens_have_no_confidence(caplog: pytest.LogCaptureFixture) -> None:
    line = logged(caplog, "/v1/models/writer/predict", WritingTier())
    assert (line["tokens"], "confidence" in line) == (14, False)
    assert metric_names(line) == {"errors", "ms", "tokens"}


def test_what_is_no_text_is_not_logged_as_one(caplog: pytest.LogCaptureFixture) -> None:
    fields: dict[str, Any] = {}
    log_texts([{"label": "a", "confidence": 0.5}], fields)
    assert fields == {}
