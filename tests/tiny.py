"""A tiny model that is real throughout: an ONNX graph, a WordPiece tokenizer, sealed as the build seals.

A text's answer is the sum of its words' rows in a table, so a test can say beforehand what it has to be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from contracts.manifest import MANIFEST, Manifest, sealed_files
from contracts.tasks import Task, Tier

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
LABELS = ("bad", "good", "so-so")
# What each word adds to the logits of LABELS; every other word adds nothing.
WORDS: Mapping[str, tuple[float, ...]] = {
    "awful": (2.0, 0.0, 0.0),
    "lovely": (0.0, 2.0, 0.0),
    "fine": (0.0, 0.5, 1.0),
    "broken": (float("nan"), 0.0, 0.0),
}
MAX_TOKENS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiny:
    """What the artefact is; the defaults make a classifier."""

    model: str = "tiny"
    task: Task = Task.TEXT_CLASSIFICATION
    tier: Tier = Tier.CPU
    precision: str = "fp32"
    batches: bool = True
    words: Mapping[str, Sequence[float]] = field(default_factory=lambda: WORDS)
    labels: tuple[str, ...] = LABELS
    dimensions: int = 0
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    # A table that is too short makes every run fail, as a graph with a defect does.
    works: bool = True


def vectors(dimensions: int = 4, *, works: bool = True) -> Tiny:
    """An encoder of that many dimensions: "one" has a 1 in the first of them, "two" a 2 in the second."""
    words = {
        "one": [1.0, *[0.0] * (dimensions - 1)],
        "two": [0.0, 2.0, *[0.0] * (dimensions - 2)],
    }
    return Tiny(
        task=Task.FEATURE_EXTRACTION, words=words, labels=(), dimensions=dimensions, works=works
    )


def artefact(folder: Path, tiny: Tiny | None = None) -> Path:
    """Write the sealed folder and give it back."""
    tiny = tiny or Tiny()
    folder.mkdir(parents=True)
    vocabulary = (*SPECIAL, *tiny.words)
    _tokenizer(vocabulary).save(str(folder / "tokenizer.json"))
    onnx.save(_graph(tiny, len(vocabulary)), folder / "model.onnx")
    (folder / "golden.jsonl").write_text("", "utf-8")
    return seal(folder, tiny)


def seal(folder: Path, tiny: Tiny) -> Path:
    """Write the manifest over what the folder holds now."""
    manifest = Manifest(
        model=tiny.model,
        task=tiny.task,
        tier=tiny.tier,
        precision=tiny.precision,
        recipe=tiny.precision,
        batches=tiny.batches,
        max_tokens=MAX_TOKENS,
        labels=tiny.labels,
        dimensions=tiny.dimensions,
        toolchain={"onnxruntime": "1.28.0"},
        files=sealed_files(folder, ("golden.jsonl", "model.onnx", "tokenizer.json")),
    ).sealed()
    (folder / MANIFEST).write_text(manifest.to_json(), "utf-8")
    return folder


def _tokenizer(vocabulary: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(
        WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def _graph(tiny: Tiny, size: int) -> onnx.ModelProto:
    """ReduceSum over tokens of table[input_ids] * attention_mask: [batch, labels or dimensions]."""
    width = len(tiny.labels) or tiny.dimensions
    table = np.zeros((size if tiny.works else 1, width), np.float32)
    if tiny.works:
        table[len(SPECIAL) :] = [list(row) for row in tiny.words.values()]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask_3d"]),
        helper.make_node("Mul", ["rows", "mask_3d"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "tokens"], ["answer"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "t"]) for n in tiny.inputs],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["b", width])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([-1], np.int64), "last"),
            numpy_helper.from_array(np.array([1], np.int64), "tokens"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
