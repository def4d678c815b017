"""A small model of every task, and the builds of them that several tests share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import build
from build.pipeline import SOURCE_STAGES, Workspace, candidates_stage, choose_stage, run
from build.step import Step
from build.workspace.cache import Cache
from build.workspace.progress import Silent
from contracts.specs import Gate, Hints
from contracts.tasks import Task
from tests import tiny_bert
from tests.tiny_bert import CPU, deployment, texts, write_rows
from tests.tiny_decoders import gpt2, llama, t5
from tests.tiny_ngrams import drawn
from tests.tiny_recurrent import TEXTS as CHARACTERS
from tests.tiny_recurrent import recurrent, tokenizer, torchscript
from tests.tiny_taught import Row, broken, by_heart, encoder, rows_of

PLAIN = replace(CPU, quantize="none")
STARTS = [{"text": start} for start, _ in broken(8)]
NGRAMS = [{"text": " ".join(f"w{(i * k + k) % 60}" for k in range(2 + i % 7))} for i in range(20)]
WORDS = ["king", *(f"w{i}" for i in range(200))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """A source, the rows it is built on, and what its table says besides: the gate is the default where it does not."""

    task: Task
    make: Callable[[Path], Path]
    rows: Sequence[Row]
    table: Mapping[str, Any] = field(default_factory=dict)


def _taught(task: Task) -> Small:
    return Small(task=task, make=partial(encoder, task), rows=rows_of(task, 50, seed=2))


def _by_heart(task: Task, make: Callable[[Path], Path]) -> Small:
    return Small(task=task, make=partial(by_heart, make), rows=STARTS)


def _words(folder: Path) -> Path:
    path = folder.with_suffix(".vec")
    table = np.random.default_rng(3).normal(size=(len(WORDS), 16)).round(4)
    rows = [f"{word} {' '.join(map(str, row))}" for word, row in zip(WORDS, table, strict=True)]
    path.write_text("\n".join([f"{len(WORDS)} 16", *rows, ""]), "utf-8")
    return path


def _ngrams(folder: Path) -> Path:
    drawn(path := folder.with_suffix(".arpa"), 3, 60, 0.2)
    return path


def _lstm(folder: Path) -> Path:
    tokenizer(folder.with_name("tokens.json"))
    return torchscript(folder.with_suffix(".pt"), recurrent("LSTM"))


def _plain(task: Task, make: Callable[[Path], Path]) -> Small:
    rows = [{"text": text} for text in texts(12)]
    return Small(task=task, make=make, rows=rows, table={"cpu": PLAIN})


SMALL = {
    "text-classification": _plain(Task.TEXT_CLASSIFICATION, tiny_bert.classifier),
    "feature-extraction": _plain(Task.FEATURE_EXTRACTION, tiny_bert.encoder),
    "token-classification": _taught(Task.TOKEN_CLASSIFICATION),
    "zero-shot-classification": _taught(Task.ZERO_SHOT_CLASSIFICATION),
    "text-ranking": _taught(Task.TEXT_RANKING),
    "fill-mask": _taught(Task.FILL_MASK),
    "question-answering": _taught(Task.QUESTION_ANSWERING),
    "gpt2": _by_heart(Task.TEXT_GENERATION, gpt2),
    "llama": _by_heart(Task.TEXT_GENERATION, llama),
    "t5": _by_heart(Task.TEXT2TEXT_GENERATION, t5),
    "n-grams": Small(task=Task.LANGUAGE_MODEL_SCORING, make=_ngrams, rows=NGRAMS),
    "LSTM": Small(
        task=Task.LANGUAGE_MODEL_SCORING,
        make=_lstm,
        rows=[{"text": text} for text in CHARACTERS],
        # Weights from a seed have no reason to bear rounding as those of a trained model do.
        table={"cpu": replace(CPU, max_tokens=24), "gate": Gate(max_perplexity_ratio=1.2)},
    ),
    "words": Small(
        task=Task.WORD_VECTORS,
        make=_words,
        rows=[{"text": word} for word in WORDS[:20]],
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Where a small model's source lies, and its artefact."""

    source: Path
    artefact: Path


@dataclass(frozen=True, slots=True)
class Builds:
    """Every small model is built when it is first asked for, to be as small as passes.

    Of a build's stages only the timing is left out: what is to be small is chosen without.
    """

    folder: Path
    found: dict[str, Built] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Built:
        if name not in self.found:
            place = self.folder / name
            place.mkdir()
            source = SMALL[name].make(place / name)
            (step,) = steps_of(name, source, place / "out")
            work = Workspace(folder=place, step=step, cache=Cache(place / "cache"))
            stages = (*SOURCE_STAGES, ("making", candidates_stage), ("choosing", choose_stage))
            chosen = run(work, stages, Silent(), done=0).chosen
            assert chosen
            self.found[name] = Built(source=source, artefact=chosen.folder)
        return self.found[name]


def steps_of(name: str, source: Path, out: Path) -> tuple[Step, ...]:
    small, table = SMALL[name], dict(SMALL[name].table)
    if name == "LSTM":
        table["hints"] = Hints(tokenizer=source.with_name("tokens.json"), inputs=("input_ids",))
    rows = write_rows(out.with_suffix(".jsonl"), small.rows)
    return build.plan(deployment(source, rows, small.task, gpu=None, **table), out)


def build_whole(name: str, source: Path, out: Path) -> Path:
    """The artefact that a whole build leaves in a folder of its own."""
    build.run(steps_of(name, source, out), out)
    return out / "tiny/cpu"
