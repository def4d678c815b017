"""The words of vLLM, translated for llama.cpp's server: sampling by vLLM's defaults, log-probabilities, counts."""

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]
# What vLLM does where neither the request nor the model's generation_config.json says otherwise. llama.cpp's server
# has other defaults.
SAMPLING: Mapping[str, Any] = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
}
COMPLETION_TOKENS = 16
# llama.cpp's are unsigned.
SEEDS = 2**32


def request_of(body: Mapping[str, Any], defaults: Mapping[str, Any]) -> Document:
    """Return a request to vLLM as llama.cpp's server takes it; `defaults` are the model's own."""
    own = {key: defaults[key] for key in SAMPLING if defaults.get(key) is not None}
    asked = {**SAMPLING, **own, **{key: value for key, value in body.items() if value is not None}}
    asked["repeat_penalty"] = asked.pop("repetition_penalty")
    if asked["top_k"] < 0:
        asked["top_k"] = 0
    if "prompt" in asked:
        asked.setdefault("max_tokens", COMPLETION_TOKENS)
    if "seed" in asked:
        asked["seed"] %= SEEDS
    if (asked.get("stream_options") or {}).get("continuous_usage_stats"):
        asked["timings_per_token"] = True
    return asked


def chunk_of(document: Document, begun: int = 0) -> Document:
    """Return a chunk of llama.cpp's server, or a whole answer, as vLLM writes it, behind so many characters of text."""
    if timings := document.pop("timings", None):
        document.setdefault("usage", _usage(timings))
    if document.get("object") == "text_completion":
        for choice in document["choices"]:
            choice["logprobs"] = _logprobs(choice.get("logprobs"), begun)
    return document


def _usage(timings: Mapping[str, int]) -> Document:
    read, written = timings["prompt_n"] + timings.get("cache_n", 0), timings["predicted_n"]
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _logprobs(found: Mapping[str, Any] | None, begun: int) -> Document | None:
    """Return log-probabilities in the form of completions; llama.cpp has that of chats for both."""
    if not found:
        return None
    tokens = found["content"]
    return {
        "tokens": [one["token"] for one in tokens],
        "token_logprobs": [one["logprob"] for one in tokens],
        "top_logprobs": [
            {top["token"]: top["logprob"] for top in one["top_logprobs"]} for one in tokens
        ],
        "text_offset": _offsets([one["token"] for one in tokens], begun),
    }


def _offsets(tokens: list[str], begun: int) -> list[int]:
    return [begun + sum(map(len, tokens[:place])) for place in range(len(tokens))]
