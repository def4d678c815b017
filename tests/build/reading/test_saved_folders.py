"""Folders that older releases of transformers saved answer as the current one does, within its margins."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from contracts.specs import SourceOptions
from contracts.tasks import Task
from tests.build.reading.read_source import Change, read
from tests.fixtures.paths import ROOT

SAVED = ROOT / "tests/saved_folders"
FOLDERS = sorted(str(path.parent.relative_to(SAVED)) for path in SAVED.glob("*/*/config.json"))
TEXTS = (
    "the film was great",
    "a dull plot, and the end was awful!",
    "not fine, but never loud",
    "small story",
    "this is the big old book that it was again and again",
    "It was LONG; it was loud. The music was lovely?",
)
LONG = " ".join(TEXTS * 6)
# As sentence-transformers saved them beside a model of those years.
MODULES = [
    {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
    for i, (kind, path) in enumerate((("Transformer", ""), ("Pooling", "1_Pooling")))
]
ROWS: dict[str, tuple[Task, list[dict[str, Any]]]] = {
    "albert": (Task.FILL_MASK, [{"text": f"the [MASK] of {text}"} for text in TEXTS]),
    "bert": (
        Task.TEXT_CLASSIFICATION,
        [{"text": LONG}, *({"text": text} for text in TEXTS)]
        + [{"text": text, "text_pair": TEXTS[0]} for text in TEXTS],
    ),
    "distilbert": (
        Task.QUESTION_ANSWERING,
        [{"question": "what was it?", "context": text} for text in TEXTS],
    ),
    "gpt2": (Task.TEXT_GENERATION, [{"text": text} for text in TEXTS]),
    "llama": (Task.TEXT_GENERATION, [{"text": text} for text in TEXTS]),
    "modernbert": (Task.TEXT_CLASSIFICATION, [{"text": text} for text in (*TEXTS, LONG)]),
    "mpnet": (Task.FEATURE_EXTRACTION, [{"text": text} for text in (*TEXTS, LONG)]),
    "roberta": (Task.TOKEN_CLASSIFICATION, [{"text": text} for text in TEXTS]),
    "t5": (Task.TEXT2TEXT_GENERATION, [{"text": text} for text in TEXTS]),
    "xlm-roberta": (
        Task.ZERO_SHOT_CLASSIFICATION,
        [{"text": text, "candidate_labels": ["film", "book", "music"]} for text in TEXTS],
    ),
}


def test_every_release_has_each_architecture_that_it_knew() -> None:
    every = sorted(ROWS)
    without = [name for name in every if name != "modernbert"]
    assert {
        path.name: sorted(p.name for p in path.iterdir())
        for path in SAVED.iterdir()
        if path.is_dir()
    } == {
        "4.30.2": without,
        "4.40.2": without,
        "4.57.6": every,
        "5.24.0": every,
    }
    sizes = [sum(p.stat().st_size for p in (SAVED / name).iterdir()) for name in FOLDERS]
    assert max(sizes) < 200_000


@pytest.mark.exhaustive(keep=4)
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_answers_as_the_current_library_does(folder: str, tmp_path: Path) -> None:
    task, rows = ROWS[Path(folder).name]

    def copy(place: Path) -> Path:
        shutil.copytree(SAVED / folder, place)
        if task is Task.FEATURE_EXTRACTION:
            (place / "1_Pooling").mkdir()
            pooling = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
            (place / "1_Pooling/config.json").write_text(json.dumps(pooling), "utf-8")
            (place / "modules.json").write_text(json.dumps(MODULES), "utf-8")
        return place

    # 4.30 saves pickles.
    options = SourceOptions(allow_pickle=folder.startswith("4.30"))
    found = read(tmp_path, copy, task, rows, source_options=options)
    # Raises ReadingDiffers where a row is answered otherwise.
    reading = found.check(tmp_path / "checked", Change())
    assert reading.rows == len(rows)
    assert reading.libraries["transformers"] == "5.24.0"
