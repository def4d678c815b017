"""vLLM's words in those of llama.cpp's server, and back."""

from typing import Any

import pytest

from local.vllm.words import chunk_of, request_of

DEFAULTS = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}


@pytest.mark.parametrize(
    ("body", "own", "meant"),
    [
        ({"messages": []}, {}, {"messages": []}),
        ({"prompt": "a"}, {}, {"prompt": "a", "max_tokens": 16}),
        ({"prompt": "a", "max_tokens": 9}, {}, {"prompt": "a", "max_tokens": 9}),
        # The model's own settings come before vLLM's, and those of a request before both.
        (
            {"messages": []},
            {"temperature": 0.2, "top_k": None, "bos_token_id": 1},
            {"messages": [], "temperature": 0.2},
        ),
        (
            {"messages": [], "temperature": 0},
            {"temperature": 0.2},
            {"messages": [], "temperature": 0},
        ),
        ({"messages": [], "repetition_penalty": 1.3}, {}, {"messages": [], "repeat_penalty": 1.3}),
        ({"messages": [], "top_k": -1, "stop": None}, {}, {"messages": []}),
        ({"messages": [], "seed": 2**63 - 1}, {}, {"messages": [], "seed": 2**32 - 1}),
        (
            {"messages": [], "stream_options": {"continuous_usage_stats": True}},
            {},
            {
                "messages": [],
                "stream_options": {"continuous_usage_stats": True},
                "timings_per_token": True,
            },
        ),
    ],
)
def test_a_request_means_the_same_to_both(
    body: dict[str, Any], own: dict[str, Any], meant: dict[str, Any]
) -> None:
    assert request_of(body, own) == {**DEFAULTS, **meant}


def test_timings_are_counts_of_tokens() -> None:
    chunk = {"choices": [], "timings": {"cache_n": 4, "prompt_n": 2, "predicted_n": 7}}
    counts = {"prompt_tokens": 6, "completion_tokens": 7, "total_tokens": 13}
    assert chunk_of(chunk) == {"choices": [], "usage": counts}


def test_the_servers_own_counts_stay() -> None:
    timings = {"prompt_n": 2, "predicted_n": 7}
    assert chunk_of({"usage": {"prompt_tokens": 9}, "timings": timings}) == {
        "usage": {"prompt_tokens": 9}
    }


def test_log_probabilities_of_completions_have_their_own_form() -> None:
    tokens = [
        {"token": " a", "logprob": -0.5, "top_logprobs": [{"token": " a", "logprob": -0.5}]},
        {"token": "bc", "logprob": -1.5, "top_logprobs": []},
    ]
    document = {"object": "text_completion", "choices": [{"logprobs": {"content": tokens}}]}
    assert chunk_of(document)["choices"][0]["logprobs"] == {
        "tokens": [" a", "bc"],
        "token_logprobs": [-0.5, -1.5],
        "top_logprobs": [{" a": -0.5}, {}],
        "text_offset": [0, 2],
    }
    behind = {"object": "text_completion", "choices": [{"logprobs": {"content": tokens}}]}
    assert chunk_of(behind, begun=7)["choices"][0]["logprobs"]["text_offset"] == [7, 9]
    plain = {"object": "text_completion", "choices": [{"text": "a"}]}
    assert chunk_of(plain)["choices"] == [{"text": "a", "logprobs": None}]
    chat = {"object": "chat.completion", "choices": [{"logprobs": {"content": tokens}}]}
    assert chunk_of(chat)["choices"] == [{"logprobs": {"content": tokens}}]
