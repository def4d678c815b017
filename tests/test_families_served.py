"""Every family is answered by the same function, with the same request and without what its image has not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from build.attempt import seal
from build.families import family_of
from build.plan import plan
from build.progress import silent
from contracts.tasks import Task, Tier
from tests.handled import FORBIDDEN, run
from tests.tiny_bert import deployment, write_rows
from tests.tiny_decoders import gpt2, t5
from tests.tiny_ngrams import drawn


def words(folder: Path) -> Path:
    path = folder.with_suffix(".vec")
    path.write_text("3 2\nking 1 0\nqueen 0.8 0.6\ntrain 0 1\n", "utf-8")
    return path


def ngrams(folder: Path) -> Path:
    drawn(path := folder.with_suffix(".arpa"), 2, 20, 0.2)
    return path


WRITTEN = {"generated_text", "finish_reason", "generated_tokens"}
FAMILIES: tuple[tuple[Task, Callable[[Path], Path], str, dict[str, Any], set[str]], ...] = (
    (Task.TEXT_GENERATION, gpt2, "The train", {"max_new_tokens": 4}, WRITTEN),
    (Task.TEXT2TEXT_GENERATION, t5, "The train", {"max_new_tokens": 4}, WRITTEN),
    (Task.LANGUAGE_MODEL_SCORING, ngrams, "the train", {}, {"log_probability", "perplexity"}),
    (Task.WORD_VECTORS, words, "king", {"nearest": 2}, {"found", "embedding", "nearest"}),
)


@pytest.mark.parametrize(
    ("task", "make", "text", "parameters", "keys"), FAMILIES, ids=[str(f[0]) for f in FAMILIES]
)
def test_a_family_is_served_by_the_function(
    task: Task,
    make: Callable[[Path], Path],
    text: str,
    parameters: dict[str, Any],
    keys: set[str],
    tmp_path: Path,
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text}])
    steps = plan(deployment(make(tmp_path / make.__name__), rows, task), tmp_path / "out")
    step = next(step for step in steps if step.tier is Tier.CPU)
    family, prepared, parts = family_of(step.source), tmp_path / "prepared", tmp_path / "parts"
    for folder in (prepared, parts):
        folder.mkdir()
    family.prepare(step.source, prepared, lambda told: None)
    original = family.original(step.source, step.rows, prepared, silent)
    recipe = family.recipes(step.source, Tier.CPU, False)[0]
    family.make(recipe, step.source, prepared, step.rows, parts)
    seal(tmp_path / "cpu", step, recipe, parts, original)
    ran = run(
        tmp_path / "cpu",
        {"inputs": [text, text], "parameters": parameters},
        {"inputs": [text], "parameters": {"no_such": 1}},
    )
    good, bad = ran.answers
    first, second = good["outputs"]
    assert first == second
    assert set(first) == keys | {"tokens", "truncated"}
    assert (bad["problem"]["status"], bad["problem"]["errors"][0]["pointer"]) == (
        422,
        "/parameters/no_such",
    )
    assert set(ran.modules) & set(FORBIDDEN) == set()
