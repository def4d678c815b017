"""`turnout call`: the request, the answer as it is shown, and endpoints that cannot be called."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.fixtures.command_line import turnout
from tests.fixtures.problems import assert_names, raises
from turnout.calling import describe, find_endpoint, shorten
from turnout.cli import app
from turnout.client import Endpoint, curl, predict

run = CliRunner().invoke


@pytest.mark.slow
def test_calling_where_nothing_runs_names_the_command_that_starts_it(tmp_path: Path) -> None:
    done = turnout("call", "m", "text", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error[call_failed]: ")
    assert "`turnout up`" in done.stderr


def test_an_endpoint_is_given_by_both_its_url_and_a_key() -> None:
    with raises("call_failed", "--key"):
        find_endpoint("https://x", None, None)
    assert find_endpoint("https://x", "k", None) == Endpoint(url="https://x", key="k")


class Echo(BaseHTTPRequestHandler):
    """Answers with the request it got, or with a problem for the model `bad`."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "/bad/" in self.path:
            self.answer(
                422,
                {
                    "title": "Invalid input",
                    "detail": "no",
                    "errors": [{"pointer": "/a", "detail": "b"}],
                },
            )
        elif "/cascade/" in self.path:
            given = (("refund", "cpu"), ("invoice", "gpu"))
            outputs = [{"label": label, "score": 0.9, "tier": tier} for label, tier in given]
            second = {"tier": "gpu", "inputs": [1], "version": "f00d", "elapsed_ms": 4}
            head = {"tier": "cpu", "reason": "escalated", "escalated": second}
            self.answer(200, {**head, "outputs": outputs})
        elif "/asleep/" in self.path:
            output = {"label": "refund", "score": 0.9}
            body = {"outputs": [output], "tier": "cpu", "reason": "gpu_waking", "degraded": True}
            self.answer(200, body)
        elif "other" in self.path:
            self.answer(200, ["another service"])
        else:
            output = {"label": "refund", "score": 0.5, "tokens": 3, "truncated": True}
            outputs = [output for _ in body["inputs"]]
            self.answer(
                200, {"outputs": outputs, "tier": "cpu", "reason": "fits_cpu", "request": body}
            )

    def answer(self, status: int, document: Any) -> None:
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: Any) -> None:
        return


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_call_shows_the_answer_with_its_tier_and_reason(server: str) -> None:
    done = run(app, ["call", "m", "one", "two", "--tier", "gpu", "--url", server, "--key", "k"])
    assert done.exit_code == 0
    assert done.stdout.count("refund 0.50 (truncated)") == 2
    assert "fits_cpu" in done.stdout


def shown(server: str, model: str, *texts: str) -> list[list[str]]:
    """Return the cells of what is shown but its times."""
    done = run(app, ["call", model, *texts, "--url", server, "--key", "k"])
    assert done.exit_code == 0
    return [re.split(r" {2,}", line.rstrip())[:4] for line in done.stdout.splitlines()[1:]]


def test_call_shows_the_tier_of_each_input_of_a_cascade(server: str) -> None:
    assert shown(server, "cascade", "one", "two") == [
        ["one", "refund 0.90", "cpu", "kept"],
        ["two", "invoice 0.90", "gpu", "escalated"],
    ]


def test_call_says_that_an_answer_is_degraded(server: str) -> None:
    assert shown(server, "asleep", "one") == [["one", "refund 0.90", "cpu", "gpu_waking, degraded"]]


def test_call_sends_the_options_as_parameters(server: str) -> None:
    words = [
        "call",
        "m",
        "one",
        "--top-k",
        "2",
        "--tier",
        "cpu",
        "--url",
        server,
        "--key",
        "k",
        "--json",
    ]
    sent = json.loads(run(app, words).stdout)["request"]
    assert sent == {"inputs": ["one"], "tier": "cpu", "parameters": {"top_k": 2}}


def test_call_takes_any_parameters_and_inputs_that_are_objects(server: str) -> None:
    where = ["--url", server, "--key", "k", "--json"]
    words = ["call", "m", '{"question": "q", "context": "c"}', "--objects", "-p", '{"top_k": 3}']
    sent = json.loads(run(app, [*words, *where]).stdout)["request"]
    expected = {"inputs": [{"question": "q", "context": "c"}], "parameters": {"top_k": 3}}
    assert sent == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "thing"),
    [
        (["text", "-p", "{"], "--parameters"),
        (["text", "-p", "[1]"], "--parameters is not a JSON object: [1]"),
        (["text", "--objects"], "input"),
    ],
)
def test_a_text_that_is_no_json_object_is_refused_and_not_sent(
    words: list[str], thing: str
) -> None:
    done = turnout("call", "m", *words, "--url", "http://127.0.0.1:9", "--key", "k")
    assert done.returncode == 1
    assert done.stderr.startswith("error[call_failed]: ")
    assert_names(done.stderr, (thing, "JSON"))
    assert "Traceback" not in done.stderr


def test_call_shows_a_problem_and_exits_with_one(server: str) -> None:
    done = run(app, ["call", "bad", "one", "--url", server, "--key", "k"])
    assert done.exit_code == 1
    assert done.stdout == "422 Invalid input: no\n  /a: b\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "model", "problem"),
    [
        ("http://127.0.0.1:9", "m", "does not answer"),
        ("127.0.0.1", "m", "is not a URL"),
        ("SERVER", "other", "no endpoint"),
    ],
    ids=["nobody", "no url", "another service"],
)
def test_an_endpoint_that_cannot_be_called_is_named(
    server: str, url: str, model: str, problem: str
) -> None:
    url = url.replace("SERVER", server)
    done = turnout("call", model, "text", "--url", url, "--key", "k")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error[call_failed]: {url} ")
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_a_models_name_is_quoted_in_the_url(server: str) -> None:
    done = run(app, ["call", "no such/../model", "one", "--url", server, "--key", "k"])
    assert done.exit_code == 0


def test_an_endpoints_key_is_its_owners_alone_to_read(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.json"
    path.write_text("older", "utf-8")
    endpoint = Endpoint(url="https://x", key="k")
    endpoint.save(path)
    assert (path.stat().st_mode & 0o777, Endpoint.load(path)) == (0o600, endpoint)


def test_a_reply_keeps_its_status_and_time(server: str) -> None:
    reply = predict(Endpoint(url=server, key="k"), "m", {"inputs": ["x"]})
    assert (reply.status, reply.ms > 0) == (200, True)


def test_the_curl_line_quotes_what_a_shell_would_take() -> None:
    line = curl(Endpoint(url="https://x/", key="k", ca_file="/ca.pem"), "m", "it's")
    assert line == (
        "curl --cacert /ca.pem https://x/v1/models/m/predict -H 'Authorization: Bearer k'"
        " -d '{\"inputs\": [\"it'\\''s\"]}'"
    )


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ({"embedding": [0.1, -0.2, 0.3]}, "[+0.100, -0.200, … 3 floats]"),
        ({"label": "a", "score": 0.5}, "a 0.50"),
        ({"label": "a", "score": 0.5, "labels": [{"label": "a", "score": 0.5}]}, "a 0.50"),
        ({"label": "a", "score": 0.1, "labels": []}, "none"),
        ({"entities": [{"text": "Ada", "label": "PER"}]}, "Ada (PER)"),
        ({"entities": []}, "none"),
        ({"masks": [{"token": "cat", "score": 0.25}]}, "cat 0.25"),
        ({"answer": "at noon", "score": 0.9, "start": 3, "end": 10}, "'at noon' 0.90"),
        ({"score": 0.125, "rank": 2}, "rank 2, 0.125"),
        ({"generated_text": "on it", "finish_reason": "length"}, "'on it' (length)"),
        ({"log_probability": -3.0, "perplexity": 2.718}, "perplexity 2.72"),
        ({"embedding": [1.0, 0.0], "nearest": [{"word": "cat", "score": 0.5}]}, "cat 0.50"),
    ],
)
def test_outputs_are_shown_in_few_words(output: dict[str, Any], words: str) -> None:
    assert describe({**output, "tokens": 3, "truncated": False}) == words
    assert describe({**output, "tokens": 3, "truncated": True}) == f"{words} (truncated)"


def test_long_texts_are_shortened() -> None:
    assert shorten("a" * 50, 10) == "aaaaaaaaa…"
