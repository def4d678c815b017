"""The deployment that every test of the dialect asks, by OpenAI's own client."""

import pytest
from openai import OpenAI

from tests.fixtures.router_app import Call
from tests.functions.router.openai.deployment import Answers, deployed, openai_client


@pytest.fixture
def tier() -> Answers:
    return Answers()


@pytest.fixture
def call(tier: Answers) -> Call:
    return deployed(tier)


@pytest.fixture
def client(call: Call) -> OpenAI:
    return openai_client(call)
