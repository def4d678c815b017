"""Fine-tune MiniLM on the support intents, in about a minute on two cores, or MPNet-base, in a few.

`python -m examples.train` writes a plain Hugging Face folder to examples/support-intent/model, and with the argument
`mpnet` one to examples/two-tiers/model. A classifier of either kind reads the first token's state, but both were
trained to put a sentence's meaning into the mean over its tokens; so beside the labels, the first token learns to be
what that mean was (MiniLM with all layers, in nine epochs: from 78 % right on held-out rows to 83 %). MiniLM's settings
were chosen on rows held out of the training rows (`--holdout` does it again), MPNet-base's by the time that they take;
the rows of the evaluation chose nothing.
"""

import argparse
import hashlib
import json
import math
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Threads that wait without spinning leave the machine to the others on it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from rich.progress import track
from torch.nn.utils.rnn import pad_sequence as padded
from transformers import AutoModelForSequenceClassification, AutoTokenizer, logging

from examples.baseline import accuracy as baseline_accuracy
from examples.rows import HERE, Row, read
from examples.weights import MINILM, MPNET, Weights

SEED, BATCH, WARMUP, MAX_TOKENS = 7, 32, 0.1, 128
HEAD_RATE = 1e-3  # the head starts from nothing, the encoder does not
ALIGNMENT = 2.0  # the weight of the first token's likeness to the mean, beside the labels' loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The pretrained weights, the folder that the classifier is saved to, and how the encoder is trained.

    The embeddings and the first layers stay as they were pretrained, and take no time backwards. With `caches_frozen`
    each row passes them once, without dropout, whatever the number of epochs.
    """

    weights: Weights
    target: Path
    epochs: int
    rate: float
    frozen_layers: int
    in_bfloat16: bool = False
    caches_frozen: bool = False


TRAININGS = {
    "minilm": Training(
        weights=MINILM,
        target=HERE / "model",
        epochs=5,
        rate=2e-4,
        frozen_layers=2,
    ),
    "mpnet": Training(
        weights=MPNET,
        target=HERE.parent / "two-tiers/model",
        epochs=4,
        rate=1e-4,
        frozen_layers=8,
        in_bfloat16=True,
        caches_frozen=True,
    ),
}


def key(training: Training) -> str:
    """Return a digest of everything that decides the result."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    weights = training.weights.target / "model.safetensors"
    # The report has the accuracy on the evaluation rows, so these count as well.
    for path in (HERE / "train.jsonl", HERE / "eval.jsonl", weights):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def batches(rows: Sequence[Row], tokenizer: Any, chance: random.Random) -> Iterator[list[Row]]:
    """Yield rows of similar length together, in an order that differs from epoch to epoch."""
    # Up to three tokens of noise, so that each epoch has other batches.
    lengths = [len(tokenizer(row.text)["input_ids"]) + chance.random() * 3 for row in rows]
    order = sorted(range(len(rows)), key=lengths.__getitem__)
    groups = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    chance.shuffle(groups)
    yield from ([rows[i] for i in group] for group in groups)


def encode(rows: Sequence[Row], tokenizer: Any) -> Any:
    return tokenizer(
        [row.text for row in rows],
        padding=True,
        truncation=True,
        max_length=MAX_TOKENS,
        return_tensors="pt",
    )


def mean_states(model: Any, tokenizer: Any, rows: Sequence[Row]) -> dict[str, Any]:
    """Return each text's mean over the last hidden states of the pretrained encoder."""
    means: dict[str, Any] = {}
    with torch.no_grad():
        for start in range(0, len(rows), BATCH):
            group = rows[start : start + BATCH]
            inputs = encode(group, tokenizer)
            mask = inputs["attention_mask"].unsqueeze(-1)
            states = model.base_model(**inputs).last_hidden_state * mask
            found = states.sum(dim=1) / mask.sum(dim=1)
            means.update(zip((row.text for row in group), found, strict=True))
    return means


def cached_states(
    model: Any, tokenizer: Any, rows: Sequence[Row], training: Training
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return each text's mean as `mean_states`, and the states [tokens, hidden] behind the frozen layers."""
    means: dict[str, Any] = {}
    cached: dict[str, Any] = {}
    # Texts of similar length together, which need little padding.
    ordered = sorted(rows, key=lambda row: len(row.text))
    with torch.no_grad(), precision(training):
        for start in range(0, len(ordered), BATCH):
            group = ordered[start : start + BATCH]
            inputs = encode(group, tokenizer)
            states = model.base_model(**inputs, output_hidden_states=True).hidden_states
            for place, row in enumerate(group):
                tokens = int(inputs["attention_mask"][place].sum())
                means[row.text] = states[-1][place, :tokens].float().mean(dim=0)
                cached[row.text] = states[training.frozen_layers][place, :tokens].float().clone()
    return means, cached


class Given(torch.nn.Module):  # type: ignore[misc]
    """States in the place of a model's embeddings: what the frozen layers have made of a batch."""

    states: Any = None

    def forward(self, *_: Any, **__: Any) -> Any:
        return self.states


@contextmanager
def upper_layers(model: Any, frozen_layers: int) -> Iterator[Given]:
    """Have the model run its upper layers alone, on the states that are given."""
    base, given = model.base_model, Given()
    embeddings, layers = base.embeddings, base.encoder.layer
    base.embeddings, base.encoder.layer = given, layers[frozen_layers:]
    try:
        yield given
    finally:
        base.embeddings, base.encoder.layer = embeddings, layers


def optimizer_for(model: Any, rate: float, frozen_layers: int) -> tuple[Any, list[Any]]:
    """Return AdamW with a learning rate per group, and freeze what is not trained."""
    model.base_model.embeddings.requires_grad_(False)
    for layer in model.base_model.encoder.layer[:frozen_layers]:
        layer.requires_grad_(False)
    trained = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    encoder = [value for name, value in trained if ".encoder." in name]
    head = [value for name, value in trained if ".encoder." not in name]
    groups = [{"params": encoder, "lr": rate}, {"params": head, "lr": HEAD_RATE}]
    return torch.optim.AdamW(groups, weight_decay=0.01, fused=True), [rate, HEAD_RATE]


def precision(training: Training) -> Any:
    """Return the context in which an encoder computes: bfloat16 where that is wanted and fast."""
    # Processors that only have AVX2 take several times as long in bfloat16. Without a cache, which would keep the
    # weights as they were before the first step.
    fast = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.autocast(
        "cpu", dtype=torch.bfloat16, enabled=training.in_bfloat16 and fast, cache_enabled=False
    )


def loss_of(model: Any, inputs: Any, wanted: Any, right: Any, training: Training) -> Any:
    """Return the loss of a batch: of its labels, and of the likeness of its first tokens to the `wanted` means."""
    with precision(training):
        answer = model(**inputs, output_hidden_states=True)
    first = answer.hidden_states[-1][:, 0].float()
    likeness = torch.nn.functional.cosine_similarity(first, wanted).mean()
    of_labels = torch.nn.functional.cross_entropy(answer.logits.float(), right)
    return of_labels + ALIGNMENT * (1 - likeness)


def train(
    rows: Sequence[Row], labels: Sequence[str], training: Training = TRAININGS["minilm"]
) -> tuple[Any, Any]:
    """Return the fine-tuned model and its tokenizer."""
    torch.manual_seed(SEED)
    chance = random.Random(SEED)
    ids = {label: i for i, label in enumerate(labels)}
    pretrained = training.weights.target
    tokenizer = AutoTokenizer.from_pretrained(pretrained)
    model = AutoModelForSequenceClassification.from_pretrained(
        pretrained, num_labels=len(labels), label2id=ids, id2label=dict(enumerate(labels))
    )
    cached: dict[str, Any] = {}
    if training.caches_frozen:
        means, cached = cached_states(model.eval(), tokenizer, rows, training)
    else:
        means = mean_states(model.eval(), tokenizer, rows)
    optimizer, rates = optimizer_for(model, training.rate, training.frozen_layers)
    steps = training.epochs * math.ceil(len(rows) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rates, total_steps=steps, pct_start=WARMUP
    )
    model.train()
    work = (b for _ in range(training.epochs) for b in batches(rows, tokenizer, chance))
    with upper_layers(model, training.frozen_layers) if cached else nullcontext() as given:
        for batch in track(work, total=steps, description="training"):
            if given:
                given.states = padded([cached[row.text] for row in batch], batch_first=True)
            wanted = torch.stack([means[row.text] for row in batch])
            right = torch.tensor([ids[row.label] for row in batch])
            loss_of(model, encode(batch, tokenizer), wanted, right, training).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return model.eval(), tokenizer


def accuracy(model: Any, tokenizer: Any, rows: Sequence[Row], labels: Sequence[str]) -> float:
    with torch.no_grad():
        found = [
            labels[int(i)]
            for start in range(0, len(rows), 32)
            for i in model(**encode(rows[start : start + 32], tokenizer)).logits.argmax(dim=1)
        ]
    return sum(a == row.label for a, row in zip(found, rows, strict=True)) / len(rows)


def save(model: Any, tokenizer: Any, report: dict[str, Any], target: Path) -> None:
    """Save into a folder beside the target, then rename."""
    work = Path(tempfile.mkdtemp(prefix=".model-", dir=target.parent))
    try:
        model.save_pretrained(work)
        tokenizer.save_pretrained(work)
        (work / "training.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def is_current(training: Training) -> bool:
    report = training.target / "training.json"
    return report.is_file() and json.loads(report.read_text("utf-8"))["key"] == key(training)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.train", description=__doc__)
    parser.add_argument("model", choices=TRAININGS, nargs="?", default="minilm")
    parser.add_argument(
        "--holdout", action="store_true", help="score on held-out training rows, save nothing"
    )
    args = parser.parse_args()
    training, holdout = TRAININGS[args.model], args.holdout
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if not holdout and is_current(training):
        print(f"training: {training.weights.name} is current")
        return
    rows, test = read("train"), read("eval")
    if holdout:
        random.Random(SEED).shuffle(rows)
        rows, test = rows[: len(rows) * 3 // 4], rows[len(rows) * 3 // 4 :]
    labels = sorted({row.label for row in rows})
    start = time.perf_counter()
    model, tokenizer = train(rows, labels, training)
    took = time.perf_counter() - start
    report = {
        "key": key(training),
        "accuracy": accuracy(model, tokenizer, test, labels),
        "baseline_accuracy": baseline_accuracy(rows, test),
        "seconds": round(took, 1),
        "rows": {"train": len(rows), "eval": len(test)},
    }
    print(
        f"training: {took:.0f} s; right on {report['accuracy']:.1%} of {len(test)} rows, "
        f"TF-IDF with logistic regression on {report['baseline_accuracy']:.1%}"
    )
    if not holdout:
        save(model, tokenizer, report, training.target)


if __name__ == "__main__":
    main()
