"""Tiny classifiers of many architectures, with weights from a seed and a tokenizer as their families have it.

They show that the structure of an architecture survives export, fusion and padding. They say nothing of accuracy.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build.workspace.quiet import quiet
from tests.tiny_bert import LABELS, POSITIONS, SPECIAL, WORDS, texts

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": POSITIONS,
}
DISENTANGLED = {
    "relative_attention": True,
    "position_buckets": 8,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "position_biased_input": False,
    "type_vocab_size": 0,
}
# RoBERTa's tokens: its padding is 1, and positions begin behind it.
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SHIFTED = {"max_position_embeddings": POSITIONS + 2, "pad_token_id": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """`name` is how its classes in transformers begin; `attention` is what its two layers are fused into."""

    name: str
    attention: str
    config: dict[str, Any] = field(default_factory=dict)
    special: tuple[str, ...] = tuple(SPECIAL)
    types: bool = True


ZOO = (
    Architecture(name="Bert", attention="2 Attention"),
    Architecture(
        name="Roberta",
        attention="2 Attention",
        config=SHIFTED,
        special=tuple(ROBERTA),
        types=False,
    ),
    Architecture(
        name="XLMRoberta",
        attention="2 Attention",
        config=SHIFTED,
        special=tuple(ROBERTA),
        types=False,
    ),
    Architecture(
        name="DistilBert",
        attention="2 Attention",
        config={"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
        types=False,
    ),
    Architecture(name="Albert", attention="2 ONNX Attention", config={"embedding_size": 16}),
    Architecture(name="Electra", attention="2 Attention", config={"embedding_size": 16}),
    Architecture(
        name="MPNet",
        attention="2 ONNX Attention",
        config=SHIFTED,
        special=tuple(ROBERTA),
        types=False,
    ),
    Architecture(name="DebertaV2", attention="", config=DISENTANGLED),
    Architecture(
        name="ModernBert",
        attention="2 ONNX Attention",
        config={
            "local_attention": 8,
            "global_attn_every_n_layers": 2,
            "pad_token_id": 0,
            "cls_token_id": 2,
            "bos_token_id": 2,
            "sep_token_id": 3,
            "eos_token_id": 3,
            "reference_compile": False,
        },
        types=False,
    ),
    Architecture(name="RoFormer", attention="2 ONNX Attention"),
)


def classifier_of(folder: Path, architecture: Architecture) -> Path:
    """A source folder for text-classification with LABELS."""
    import torch
    import transformers

    torch.manual_seed(9)
    folder.mkdir(parents=True)
    _tokenizer(folder, architecture)
    names = dict(enumerate(LABELS))
    config = getattr(transformers, f"{architecture.name}Config")(
        vocab_size=len(architecture.special) + len(WORDS),
        num_labels=len(LABELS),
        id2label=names,
        label2id={name: i for i, name in names.items()},
        **{**SHAPE, **architecture.config},
    )
    with quiet():
        model = getattr(transformers, f"{architecture.name}ForSequenceClassification")(config)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if (
                parameter.dim() > 1
            ):  # weights as small as training starts with tell no two texts apart
                parameter.mul_(6)
        logits = model(**tokenizer(texts(40), padding=True, return_tensors="pt")).logits
        biases = [p for p in model.parameters() if p.shape == (len(LABELS),)]
        biases[-1] -= logits.mean(dim=0)  # every label for some of the texts
    model.save_pretrained(folder)
    return folder


def _tokenizer(folder: Path, architecture: Architecture) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    ids = {word: i for i, word in enumerate((*architecture.special, *WORDS))}
    pad, unknown, first, last = (
        ("<pad>", "<unk>", "<s>", "</s>") if "<s>" in ids else ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    )
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(first, ids[first]), (last, ids[last])],
    )
    tokenizer.add_special_tokens([pad, unknown, first, last])
    tokenizer.save(str(folder / "tokenizer.json"))
    inputs = ["input_ids", *(["token_type_ids"] if architecture.types else []), "attention_mask"]
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": POSITIONS,
        "pad_token": pad,
        "unk_token": unknown,
        "cls_token": first,
        "sep_token": last,
        "model_input_names": inputs,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
