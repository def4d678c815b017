"""`turnout call`: one request to the endpoint, and its answer as a table."""

from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from turnout.client import Endpoint, Reply, predict

# `turnout up` leaves the endpoint here while it runs.
ENDPOINT = Path(".turnout/local/endpoint.json")


class CallError(Exception):
    """The endpoint cannot be called."""


def find_endpoint(url: str | None, key: str | None, ca_file: str | None) -> Endpoint:
    """The endpoint that was named, or the one that is up on this machine; raises CallError."""
    if url and key:
        return Endpoint(url=url, key=key, ca_file=ca_file)
    if url or key:
        missing = "--key (or TURNOUT_KEY)" if url else "--url (or TURNOUT_URL)"
        raise CallError(f"an endpoint needs its URL and a key; give {missing} as well")
    try:
        return Endpoint.load(ENDPOINT)
    except FileNotFoundError as error:
        raise CallError(
            "no local cloud is running here; start one with `turnout up`, or give --url and --key"
        ) from error


def call(endpoint: Endpoint, model: str, document: Mapping[str, Any]) -> Reply:
    """Raises CallError when nobody answers, or somebody else does."""
    try:
        reply = predict(endpoint, model, document)
    except (OSError, HTTPException) as error:
        raise CallError(f"{endpoint.url} does not answer: {error}") from error
    except ValueError as error:
        raise CallError(f"{endpoint.url} is not a URL: {error}; write https://…") from error
    if reply.status == 200 and not (isinstance(reply.body, dict) and "outputs" in reply.body):
        raise CallError(f"{endpoint.url} answers, but it is no endpoint of Turnout; check the URL")
    return reply


def show(reply: Reply, texts: Sequence[str], console: Console) -> None:
    body = reply.body
    if reply.status != 200:
        console.print(
            f"{reply.status} {_words(body, 'title')}: {_words(body, 'detail')}", markup=False
        )
        for mistake in body.get("errors", ()) if isinstance(body, dict) else ():
            console.print(f"  {mistake['pointer']}: {mistake['detail']}", markup=False)
        return
    table = Table("input", "answer", "tier", "reason", "ms", box=None, pad_edge=False)
    for text, output in zip(texts, body["outputs"], strict=True):
        table.add_row(
            shorten(text), describe(output), body["tier"], body["reason"], f"{reply.ms:.0f}"
        )
    console.print(table)


def _words(body: object, key: str) -> str:
    return str(body.get(key, body.get("message", ""))) if isinstance(body, dict) else str(body)


def shorten(text: str, width: int = 48) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def describe(output: Mapping[str, Any]) -> str:
    """One output in few words: its label with the score, words that are near or unknown, or how a vector begins."""
    cut = " (truncated)" if output.get("truncated") else ""
    if "unknown" in output:
        return f"not known: {', '.join(output['unknown'])}"
    if "nearest" in output:
        return ", ".join(f"{entry['word']} {entry['score']:.2f}" for entry in output["nearest"])
    if "embedding" in output:
        vector = output["embedding"]
        return f"[{vector[0]:+.3f}, {vector[1]:+.3f}, … {len(vector)} floats]{cut}"
    return f"{output['label']} {output['score']:.2f}{cut}"
