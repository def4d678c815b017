"""Folders in which a setting of config.json counts that our own code reads; those of graphs are in `of_graph.py`."""

import json
from collections.abc import Mapping
from pathlib import Path

from contracts.tasks import Task
from tests.build.export.graph_settings import ARCHITECTURES
from tests.build.reading.mutants.case import Case, edit, settled
from tests.build.reading.mutants.of_tokenizer import GENERIC, LONG, classified
from tests.build.reading.mutants.of_tokenizer import ROWS as CAPITALS
from tests.fixtures.models.tiny_bert import POSITIONS, classifier, headed, texts
from tests.fixtures.models.tiny_decoders import CONTEXT, PROMPTS, gpt2, t5
from tests.fixtures.models.tiny_zoo import ROBERTA, Architecture, classifier_of

CONFIG, TOKENIZER_CONFIG = "config.json", "tokenizer_config.json"
CLASSES, GENERATION = Task.TEXT_CLASSIFICATION, Task.TEXT_GENERATION
ROWS = [{"text": text} for text in texts(12)]
PADDED_LATE = Architecture(
    name="Roberta",
    attention="",
    config={"max_position_embeddings": POSITIONS + 2, "pad_token_id": 4},
    special=tuple(ROBERTA),
    types=False,
)


def multi_label(folder: Path) -> Path:
    return headed(
        folder,
        "BertForSequenceClassification",
        labels=("a", "b", "c"),
        problem_type="multi_label_classification",
    )


def swapped(folder: Path) -> Path:
    """Write a model of inference whose `label2id` says otherwise than its `id2label`, as transformers reads both."""
    headed(folder, "BertForSequenceClassification", labels=("entailment", "no"))
    edit(folder / CONFIG, label2id={"no": 0, "entailment": 1})
    return folder


def without_limit(folder: Path) -> Path:
    """Write a model whose positions alone say how many tokens it reads."""
    classifier_of(folder, PADDED_LATE)
    edit(folder / TOKENIZER_CONFIG, model_max_length=None)
    return folder


def more_tokens(folder: Path) -> Path:
    """Write a classifier whose tokenizer has a token more than the embedding has rows."""
    return with_surplus(classifier(folder))


def with_surplus(folder: Path) -> Path:
    """Add a token to a tokenizer."""
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text("utf-8"))
    document["model"]["vocab"]["surplus"] = len(document["model"]["vocab"])
    path.write_text(json.dumps(document), "utf-8")
    return folder


def more_words(folder: Path) -> Path:
    """Write an XLM with a token more than its embedding has rows, as older releases named their number."""
    classifier_of(folder, ARCHITECTURES["XLM"])
    words = json.loads((folder / CONFIG).read_text("utf-8"))["vocab_size"]
    edit(folder / CONFIG, vocab_size=None, n_words=words)
    return with_surplus(folder)


def of_words(folder: Path) -> Path:
    """Write a classifier whose config.json alone says that its tokenizer.json is to be taken as it is."""
    classified("bert", folder, do_lower_case=False)
    edit(folder / TOKENIZER_CONFIG, tokenizer_class=None)
    edit(folder / CONFIG, tokenizer_class=GENERIC)
    return folder


CASES: Mapping[str, Mapping[str, Case]] = {
    CONFIG: {
        "model_type": Case(task=CLASSES, make=classifier, rows=ROWS),
        "architectures": Case(task=CLASSES, make=classifier, rows=ROWS),
        "is_encoder_decoder": Case(
            task=Task.TEXT2TEXT_GENERATION,
            make=settled(t5, "generation_config.json", decoder_start_token_id=7),
            rows=[{"text": prompt} for prompt in PROMPTS],
        ),
        "id2label": Case(task=CLASSES, make=classifier, rows=ROWS),
        "problem_type": Case(task=CLASSES, make=multi_label, rows=ROWS),
        "max_position_embeddings": Case(
            task=CLASSES,
            make=settled(classifier, TOKENIZER_CONFIG, model_max_length=POSITIONS + 8),
            rows=LONG,
        ),
        "n_positions": Case(
            task=GENERATION,
            make=settled(gpt2, TOKENIZER_CONFIG, model_max_length=CONTEXT + 32),
            rows=[{"text": " ".join(PROMPTS) * 2}],
        ),
        "label2id": Case(
            task=Task.ZERO_SHOT_CLASSIFICATION,
            make=swapped,
            rows=[{"text": text, "candidate_labels": ["film", "music"]} for text in texts(8)],
        ),
        "pad_token_id": Case(task=CLASSES, make=without_limit, rows=LONG),
        "vocab_size": Case(
            task=CLASSES,
            make=more_tokens,
            rows=[{"text": "surplus film"}],
            refused="tokenizer_mismatch",
        ),
        "n_words": Case(
            task=CLASSES,
            make=more_words,
            rows=[{"text": "surplus film"}],
            refused="tokenizer_mismatch",
        ),
        "num_labels": Case(
            task=CLASSES,
            make=settled(classifier, CONFIG, id2label=None, label2id=None, num_labels=3),
            rows=ROWS,
        ),
        "tokenizer_class": Case(task=CLASSES, make=of_words, rows=CAPITALS),
    },
}
