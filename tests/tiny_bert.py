"""A Hugging Face folder like any other, but tiny: BERT with two small layers and weights from a seed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contracts.specs import CpuSpec, Deployment, Gate, GpuSpec, ModelSpec
from contracts.tasks import Task

LABELS = ("bad", "good", "so-so")
WORDS = (
    "the a this that it was is not and but very film book plot story actor end scene music "
    "awful dull lovely great fine plain loud quiet long short new old big small again never"
).split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
POSITIONS = 32


# Of a model so small, latency tells no two candidates apart, and emulation takes longer than all the rest.
CPU = CpuSpec(objective="size", portable=False)


def classifier(folder: Path) -> Path:
    """A source folder for text-classification with LABELS."""
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(3)
    names = dict(enumerate(LABELS))
    ids = {name: i for i, name in names.items()}
    model = BertForSequenceClassification(
        _config(num_labels=len(LABELS), id2label=names, label2id=ids)
    )
    model.eval()
    folder.mkdir(parents=True)
    tokenizer = write_tokenizer(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:  # weights as small as BERT starts with tell no two texts apart
                parameter.mul_(8)
        logits = model(**tokenizer(texts(60), padding=True, return_tensors="pt")).logits
        model.classifier.bias -= logits.mean(dim=0)  # every label for some of the texts
    model.save_pretrained(folder)
    return folder


def encoder(folder: Path) -> Path:
    """A source folder for feature-extraction, as sentence-transformers saves one: mean, then normalised."""
    import torch
    from transformers import BertModel

    torch.manual_seed(4)
    folder.mkdir(parents=True)
    write_tokenizer(folder)
    BertModel(_config()).save_pretrained(folder)
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [
        {
            "idx": i,
            "name": str(i),
            "path": "" if i == 0 else f"{i}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    (folder / "1_Pooling").mkdir()
    pooling = {
        "word_embedding_dimension": 32,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_cls_token": False,
    }
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling), "utf-8")
    return folder


def headed(folder: Path, architecture: str, *, labels: Sequence[str] = (), **config: Any) -> Path:
    """A source folder with any of BERT's heads, its weights large enough that texts are told apart."""
    import torch
    import transformers

    torch.manual_seed(5)
    names: dict[str, Any] = {}
    if labels:
        ids = {label: i for i, label in enumerate(labels)}
        names = {"num_labels": len(labels), "id2label": dict(enumerate(labels)), "label2id": ids}
    folder.mkdir(parents=True)
    write_tokenizer(folder)
    model = getattr(transformers, architecture)(_config(**names, **config))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    model.save_pretrained(folder)
    return folder


def texts(count: int) -> list[str]:
    """Different texts of two to ten words."""
    return [
        " ".join(WORDS[(7 * i + k * k) % len(WORDS)] for k in range(2 + i % 9))
        for i in range(count)
    ]


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def deployment(
    source: Path, rows: Path, task: Task = Task.TEXT_CLASSIFICATION, **changes: Any
) -> Deployment:
    """One model on both tiers; `changes` go into its table."""
    table: dict[str, Any] = {
        "cpu": CPU,
        "gpu": GpuSpec(instance="ml.g6.xlarge"),
        "gate": Gate(),
    }
    spec = ModelSpec(name="tiny", source=source, task=task, eval=rows, **{**table, **changes})
    return Deployment(models=(spec,))


def _config(**more: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        **more,
    )


def write_tokenizer(folder: Path) -> Any:
    from transformers import BertTokenizerFast

    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*SPECIAL, *WORDS]), "utf-8")
    tokenizer = BertTokenizerFast(str(vocabulary), model_max_length=POSITIONS)
    tokenizer.save_pretrained(folder)
    return tokenizer
