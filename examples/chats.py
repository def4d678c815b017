"""A chat with SmolLM2 on both tiers, by OpenAI's own client: our quantized copy, and vLLM's contract on the GPU tier.

`make demo-chat` runs it once the model is built and a server installed that on a laptop stands in for vLLM.
It deploys both tiers by the real `turnout up` into a local cloud, and streams answers over HTTPS; `make demo-chat
JSON=report.json` also writes the figures.
"""

import argparse
import json
import ssl
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2
from openai import OpenAI
from rich.console import Console
from rich.table import Table

from contracts.models_toml import read_models_toml
from contracts.names import router_stack
from contracts.specs import Deployment
from contracts.tasks import Tier
from examples.weights import HERE
from local.vllm.process import HOMES
from stacks.limits.throttle import stage_throttle
from turnout.calling import shorten
from turnout.client import Endpoint
from turnout.local_deployment import ROOT, Files, Laptop, relative_to_here
from turnout.progress import steps
from turnout.push.sealing import read_size, seal
from turnout.push.tree import Folder, read_weights
from turnout.terminal import exit_with_message
from turnout.up.running import require_built

FOLDER = HERE / "chat"
FILES = Files(config=FOLDER / "models.toml", out=relative_to_here(FOLDER / "models.out"))
MODEL = "chat"
QUESTIONS = (
    "What is the capital of France?",
    "Name three instruments of an orchestra.",
    "Why is the sky blue?",
)
MAX_TOKENS = 48
# The characters of an answer that are shown.
WIDTH = 72


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One streamed answer; the milliseconds are those of the client, from its request on."""

    tier: str
    question: str
    text: str
    tokens: int
    first_ms: float
    total_ms: float
    finish_reason: str


def seal_weights(deployment: Deployment, files: Files) -> None:
    """Seal the list of the weights as `turnout push` does, which would send them to an account."""
    (model,) = deployment.models
    assert isinstance(model.source, Path)
    tree = Folder(model.source)
    weights = read_weights(tree, lambda path, size: None)
    seal(model, tree, weights, read_size(tree, weights), files.out)


def client_of(endpoint: Endpoint, laptop: Laptop) -> OpenAI:
    """Return OpenAI's client of the URL that streams."""
    outputs: dict[str, Any] = json.loads((laptop.state / "outputs.json").read_text("utf-8"))
    url = outputs[router_stack(laptop.deployment.name)]["StreamUrl"]
    trusted = ssl.create_default_context(cafile=endpoint.ca_file)
    http = httpx2.Client(verify=trusted, timeout=120)
    # What is repeated would be timed as one.
    return OpenAI(
        base_url=f"{url.rstrip('/')}/v1", api_key=endpoint.key, http_client=http, max_retries=0
    )


def ask(client: OpenAI, tier: str, question: str, pause_s: float) -> Answered:
    """Stream the answer of one tier, after a pause that keeps the requests below the deployed throttle."""
    time.sleep(pause_s)
    begun = time.perf_counter()
    first, text, reason, tokens = 0.0, "", "", 0
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": question}],
        max_tokens=MAX_TOKENS,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"tier": tier},
    )
    for chunk in stream:
        if chunk.usage:
            tokens = chunk.usage.completion_tokens
        for choice in chunk.choices:
            if choice.delta.content and not first:
                first = time.perf_counter() - begun
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
    return Answered(
        tier=tier,
        question=question,
        text=text,
        tokens=tokens,
        first_ms=first * 1e3,
        total_ms=(time.perf_counter() - begun) * 1e3,
        finish_reason=reason,
    )


def table(answers: list[Answered]) -> Table:
    """Return the answers as a table, those of one question under each other."""
    found = Table("", "tier", "answer", "tokens", "first ms", "ms", box=None, pad_edge=False)
    for column in found.columns[3:]:
        column.justify = "right"
    question = ""
    for one in answers:
        found.add_row(
            "" if one.question == question else one.question,
            one.tier,
            shorten(" ".join(one.text.split()), WIDTH),
            str(one.tokens),
            f"{one.first_ms:.0f}",
            f"{one.total_ms:.0f}",
        )
        question = one.question
    return found


def check(answers: list[Answered]) -> None:
    """Raise SystemExit unless every answer came in a stream and says something."""
    for one in answers:
        if not one.text.strip() or not 0 < one.first_ms < one.total_ms:
            raise SystemExit(f"{one.tier} did not stream an answer to {one.question!r}: {one}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.chats", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    target = parser.parse_args().json
    log = Console(stderr=True, highlight=False)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    if not any((home / "ready").is_file() for home in HOMES):
        raise SystemExit("no server stands in for vLLM on this machine; run `make llamacpp`")
    deployment = read_models_toml(FILES.config)
    seal_weights(deployment, FILES)
    require_built(deployment, FILES.out)
    pause_s = 1 / stage_throttle(deployment, FILES.out).rate
    with Laptop(deployment, FILES, state=ROOT / ".turnout/chat") as laptop:
        with steps(log, "deploying to a local cloud") as (laptop.say, laptop.detail):
            endpoint = laptop.deploy()
            laptop.say("asking both tiers")
            client = client_of(endpoint, laptop)
            for tier in Tier:
                # The first answer of a tier waits for what starts with it.
                ask(client, tier, QUESTIONS[0], pause_s)
            answers = [
                ask(client, tier, question, pause_s) for question in QUESTIONS for tier in Tier
            ]
    console.print(table(answers))
    if target:
        text = json.dumps([asdict(one) for one in answers], indent=2, ensure_ascii=False)
        target.write_text(text + "\n", "utf-8")
        log.print(f"figures: {target}")
    check(answers)


if __name__ == "__main__":
    exit_with_message(main, Console(stderr=True, highlight=False))
