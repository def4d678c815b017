"""`turnout call`: one request to the endpoint, and its answer as a table.

The endpoint is the one of --url and --key, or else of the local cloud (`find_endpoint`). Flags are in `turnout/cli.py`,
the timeout is in `turnout/client.py`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.errors import TurnoutError
from turnout.client import ENDPOINT_FILE, STATE, Endpoint, Reply, predict


class CallError(TurnoutError):
    """The endpoint cannot be called."""

    code = "call_failed"


def find_endpoint(url: str | None, key: str | None, ca_file: str | None) -> Endpoint:
    """Return the endpoint that was named, or the one that is up on this machine; raise CallError without either."""
    if url and key:
        return Endpoint(url=url, key=key, ca_file=ca_file)
    if url or key:
        missing = "--key (or TURNOUT_KEY)" if url else "--url (or TURNOUT_URL)"
        raise CallError(f"an endpoint needs its URL and a key; give {missing} as well")
    try:
        return Endpoint.load(STATE / ENDPOINT_FILE)
    except FileNotFoundError as error:
        raise CallError(
            f"no local cloud of this folder is running ({STATE / ENDPOINT_FILE} is not there); start one here with "
            "`turnout up`, or give --url and --key"
        ) from error


def call(endpoint: Endpoint, model: str, document: Mapping[str, Any]) -> Reply:
    """Send the request; raise CallError if nothing answers, or something else than an endpoint of Turnout."""
    try:
        reply = predict(endpoint, model, document)
    except (OSError, HTTPException) as error:
        raise CallError(f"{endpoint.url} does not answer: {error}") from error
    except ValueError as error:
        raise CallError(f"{endpoint.url} is not a URL: {error}; write https://…") from error
    if reply.status == 200 and not (isinstance(reply.body, dict) and "outputs" in reply.body):
        raise CallError(f"{endpoint.url} answers, but it is no endpoint of Turnout; check the URL")
    return reply


def inputs_of(texts: Sequence[str], *, objects: bool) -> list[Any]:
    """Return the inputs as they are sent; with `objects` parse each as a JSON object, or raise CallError."""
    return [_object(text, "an input") for text in texts] if objects else list(texts)


def parameters_of(text: str | None) -> dict[str, Any]:
    """Parse parameters given as a JSON object, or raise CallError; nothing given is no parameters."""
    return _object(text, "--parameters") if text else {}


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CallError(f"{what} is not JSON ({error}): {shorten(text)}") from error
    if not isinstance(value, dict):
        raise CallError(f"{what} is not a JSON object: {shorten(text)}")
    return value


def show(reply: Reply, texts: Sequence[str], console: Console) -> None:
    body = reply.body
    if reply.status != 200:
        console.print(
            f"{reply.status} {_field(body, 'title')}: {_field(body, 'detail')}", markup=False
        )
        for problem in body.get("errors", ()) if isinstance(body, dict) else ():
            console.print(f"  {problem['pointer']}: {problem['detail']}", markup=False)
        return
    table = Table("input", "answer", "tier", "reason", "ms", box=None, pad_edge=False)
    for text, output in zip(texts, body["outputs"], strict=True):
        answer, (tier, reason) = escape(describe(output)), _given_by(body, output)
        table.add_row(escape(shorten(text)), answer, tier, reason, f"{reply.ms:.0f}")
    console.print(table)


def _given_by(body: Mapping[str, Any], output: Mapping[str, Any]) -> tuple[str, str]:
    """Return the tier that gave an output, and the reason; those of a cascade differ by output."""
    tier: str = output.get("tier", body["tier"])
    if "escalated" in body and tier == body["tier"]:
        return tier, "kept"
    return tier, body["reason"] + (", degraded" if body.get("degraded") else "")


def _field(body: object, key: str) -> str:
    # API Gateway's own errors have a `message` and nothing else.
    return str(body.get(key, body.get("message", ""))) if isinstance(body, dict) else str(body)


def shorten(text: str, width: int = 48) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _vector(output: Mapping[str, Any]) -> str:
    vector = output["embedding"]
    return f"[{vector[0]:+.3f}, {vector[1]:+.3f}, … {len(vector)} floats]"


def _listed(key: str, name: str) -> Callable[[Mapping[str, Any]], str]:
    """Return a function that lists the entries under `key`, each by its name and score."""

    def listed(output: Mapping[str, Any]) -> str:
        return ", ".join(f"{e[name]} {e['score']:.2f}" for e in output[key]) or "none"

    return listed


# A summary of an output by the key that its task answers with. The first that is there counts: an output that has
# labels has a label too, and one of them is shown.
SUMMARIES: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("unknown", lambda o: f"not known: {', '.join(o['unknown'])}"),
    ("nearest", _listed("nearest", "word")),
    ("embedding", _vector),
    (
        "entities",
        lambda o: ", ".join(f"{e['text']} ({e['label']})" for e in o["entities"]) or "none",
    ),
    ("masks", _listed("masks", "token")),
    ("generated_text", lambda o: f"{shorten(o['generated_text'], 96)!r} ({o['finish_reason']})"),
    ("perplexity", lambda o: f"perplexity {o['perplexity']:.2f}"),
    ("log_probability", lambda o: f"log-probability {o['log_probability']:.2f}"),
    ("answer", lambda o: f"{o['answer']!r} {o['score']:.2f}"),
    ("labels", _listed("labels", "label")),
    ("label", lambda o: f"{o['label']} {o['score']:.2f}"),
    ("rank", lambda o: f"rank {o['rank']}, {o['score']:.3f}"),
)


def describe(output: Mapping[str, Any]) -> str:
    """Summarise one output: its label and score, the nearest words, the start of a vector, the generated text."""
    truncated = " (truncated)" if output.get("truncated") else ""
    summary = next((made for key, made in SUMMARIES if output.get(key) is not None), None)
    return f"{summary(output) if summary else dict(output)}{truncated}"
