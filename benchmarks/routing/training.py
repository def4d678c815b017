"""Fine-tune the upper layers of a sentence encoder as a classifier, on states of the lower ones computed once.

The lower layers are frozen, so each row passes them once whatever the number of epochs: that makes MPNet feasible on
two cores. Batches hold texts of one length, so nothing is padded and no mask is needed. The first token learns to be
what the mean over the tokens was, as in `examples.train`, since both encoders were pretrained to use that mean.
"""

import math
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Threads that wait without spinning leave the machine to the others on it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from examples.rows import Row
from examples.train import ALIGNMENT, BATCH, HEAD_RATE, MAX_TOKENS, SEED, WARMUP

RATE = 1e-4


class UpperLayers:
    """The trained part of a classifier: its upper layers and its head."""

    def __init__(self, model: Any, frozen: int) -> None:
        self._model = model
        self._base = model.base_model
        self._layers = self._base.encoder.layer
        self._frozen = frozen
        model.requires_grad_(False)
        self.encoder = list(self._layers[frozen:].parameters())
        base = {id(value) for value in self._base.parameters()}
        self.head = [value for value in model.parameters() if id(value) not in base]
        if getattr(self._base, "pooler", None) is not None:
            self.head += list(self._base.pooler.parameters())
        for value in (*self.encoder, *self.head):
            value.requires_grad_(True)

    def lower_states(self, ids: Any) -> Any:
        """Return the states [rows, tokens, hidden] that the frozen layers make of token ids."""
        states = self._base.embeddings(input_ids=ids)
        return self._through(self._layers[: self._frozen], states)

    def upper_states(self, states: Any) -> Any:
        """Return the last states [rows, tokens, hidden]."""
        return self._through(self._layers[self._frozen :], states)

    def logits(self, states: Any) -> Any:
        """Return the logits [rows, labels] by the last states."""
        pooler = getattr(self._base, "pooler", None)
        if pooler is None:
            return self._model.classifier(states)
        return self._model.classifier(self._model.dropout(pooler(states)))

    def _through(self, layers: Any, states: Any) -> Any:
        encoder = self._base.encoder
        encoder.layer = layers
        try:
            return encoder(states, attention_mask=None)[0]
        finally:
            encoder.layer = self._layers


def train(
    weights: Path, rows: Sequence[Row], labels: Sequence[str], *, frozen: int, epochs: int
) -> tuple[Any, Any]:
    """Return the fine-tuned model and its tokenizer."""
    torch.manual_seed(SEED)
    ids = {label: i for i, label in enumerate(labels)}
    tokenizer = AutoTokenizer.from_pretrained(weights)
    model = AutoModelForSequenceClassification.from_pretrained(
        weights, num_labels=len(labels), label2id=ids, id2label=dict(enumerate(labels))
    )
    part = UpperLayers(model, frozen)
    tokens = tokenizer([row.text for row in rows], truncation=True, max_length=MAX_TOKENS)
    right = torch.tensor([ids[row.label] for row in rows])
    # Processors that only have AVX2 take several times as long in bfloat16. Without a cache, which would keep the
    # weights as they were before the first step.
    fast = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast, cache_enabled=False):
        states, means = _frozen_states(model.eval(), part, tokens["input_ids"])
        _fit(model.train(), part, states, means, right, epochs)
    return model.eval(), tokenizer


def _frozen_states(model: Any, part: UpperLayers, ids: Sequence[Any]) -> tuple[list[Any], Any]:
    """Return the states that the lower layers make of each row, and the mean that the pretrained encoder ends with."""
    states: list[Any] = [None] * len(ids)
    means: list[Any] = [None] * len(ids)
    with torch.no_grad():
        for group in _batches([len(one) for one in ids], random.Random(SEED)):
            lower = part.lower_states(torch.tensor([ids[i] for i in group]))
            last = part.upper_states(lower).float().mean(dim=1)
            for place, i in enumerate(group):
                states[i], means[i] = lower[place].to(torch.float16), last[place]
    return states, torch.stack(means)


def _batches(lengths: Sequence[int], chance: random.Random) -> Iterator[list[int]]:
    """Yield places of rows of one length together, in an order that differs from epoch to epoch."""
    of_length: dict[int, list[int]] = {}
    for place in chance.sample(range(len(lengths)), len(lengths)):
        of_length.setdefault(lengths[place], []).append(place)
    groups = [
        places[i : i + BATCH] for places in of_length.values() for i in range(0, len(places), BATCH)
    ]
    chance.shuffle(groups)
    yield from groups


def _fit(
    model: Any, part: UpperLayers, states: Sequence[Any], means: Any, right: Any, epochs: int
) -> None:
    chance = random.Random(SEED)
    lengths = [len(one) for one in states]
    work = [group for _ in range(epochs) for group in _batches(lengths, chance)]
    rates = [RATE, HEAD_RATE]
    groups = [
        {"params": values, "lr": rate}
        for values, rate in zip((part.encoder, part.head), rates, strict=True)
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rates, total_steps=len(work), pct_start=WARMUP
    )
    loss_of = torch.nn.CrossEntropyLoss()
    for step, group in enumerate(work):
        last = part.upper_states(torch.stack([states[i].float() for i in group]))
        likeness = torch.nn.functional.cosine_similarity(last[:, 0], means[group]).mean()
        loss = loss_of(part.logits(last), right[group]) + ALIGNMENT * (1 - likeness)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*part.encoder, *part.head], 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % math.ceil(len(work) / 20) == 0:
            print(f"step {step} of {len(work)}, loss {loss.item():.3f}", flush=True)
