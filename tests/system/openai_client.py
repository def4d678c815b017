"""OpenAI's own client at a deployed endpoint."""

import ssl

import httpx2
import openai
import pytest
from openai import OpenAI

from turnout.client import Endpoint, predict


def check_vectors(endpoint: Endpoint, model: str, other: str) -> None:
    """Check that it gets the vectors of our own API, the list of both models, and its own error for the other one."""
    texts = ["a guitar", "an instrument"]
    http = httpx2.Client(verify=ssl.create_default_context(cafile=endpoint.ca_file))
    with OpenAI(base_url=f"{endpoint.url}/v1", api_key=endpoint.key, http_client=http) as client:
        made = client.embeddings.create(model=model, input=texts)
        assert {one.id for one in client.models.list()} == {model, other}
        with pytest.raises(openai.BadRequestError, match="text-classification"):
            client.embeddings.create(model=other, input=texts)
    ours = predict(endpoint, model, {"inputs": texts}).body["outputs"]
    assert [one.embedding for one in made.data] == [
        pytest.approx(one["embedding"], abs=1e-6) for one in ours
    ]
