"""Tokenizers of each format, as files that every release of transformers reads; writers return their special ids."""

import json
from pathlib import Path
from typing import Any

WORDS = (
    "the a this that it was is not and but very film book plot story actor end scene music "
    "awful dull lovely great fine plain loud quiet long short new old big small again never"
).split()
# The ids of Llama's tokens for single bytes.
LLAMA_BYTES = slice(3, 3 + 256)


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")


def wordpiece(folder: Path) -> dict[str, Any]:
    """Write BERT's vocab.txt: words, letters, and letters within words."""
    letters = "abcdefghijklmnopqrstuvwxyz.,!?"
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    entries = [*special, *WORDS, *(c for c in letters if c != "a"), *(f"##{c}" for c in letters)]
    (folder / "vocab.txt").write_text("\n".join(entries) + "\n", "utf-8")
    _write(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "BertTokenizer", "model_max_length": 64},
    )
    return {"pad_token_id": 0}


def mpnet_wordpiece(folder: Path) -> dict[str, Any]:
    letters = "abcdefghijklmnopqrstuvwxyz.,!?"
    entries = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", *WORDS, *(c for c in letters if c != "a")]
    entries += [*(f"##{c}" for c in letters), "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(entries) + "\n", "utf-8")
    settings = {"tokenizer_class": "MPNetTokenizer", "model_max_length": 60}
    _write(folder / "tokenizer_config.json", settings)
    return {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def _byte_level(folder: Path, special: tuple[str, ...]) -> dict[str, int]:
    """Write vocab.json and merges.txt of byte-level BPE; return the ids."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("Ġ", "a"), ("i", "s"), ("Ġ", "is"), ("o", "o")]
    entries = [*special, *letters, *("".join(pair) for pair in merges)]
    ids = {token: i for i, token in enumerate(entries)}
    _write(folder / "vocab.json", ids)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return ids


def roberta_bpe(folder: Path) -> dict[str, Any]:
    ids = _byte_level(folder, ("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    # 64 positions less the two that padding takes.
    settings = {
        "tokenizer_class": "RobertaTokenizer",
        "model_max_length": 62,
        "add_prefix_space": True,
    }
    _write(folder / "tokenizer_config.json", settings)
    return {"pad_token_id": ids["<pad>"], "bos_token_id": 0, "eos_token_id": 2}


def gpt2_bpe(folder: Path) -> dict[str, Any]:
    ids = _byte_level(folder, ("<|endoftext|>",))
    settings = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 64}
    _write(folder / "tokenizer_config.json", settings)
    return {"bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|endoftext|>"]}


def _unigram(
    folder: Path,
    special: list[str],
    unknown: str,
    around: tuple[str, str],
    kind: str,
    t5: bool = False,
) -> Any:
    """Write a tokenizer.json of SentencePiece's unigram model."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    pieces = [f"▁{word}" for word in WORDS] + ["▁", *"abcdefghijklmnopqrstuvwxyz.,!?"]
    scores = [(token, 0.0) for token in special]
    scores += [(piece, -2.0 - 0.1 * i) for i, piece in enumerate(pieces)]
    ids = {token: i for i, (token, _) in enumerate(scores)}
    made = Tokenizer(models.Unigram(scores, ids[unknown]))
    metaspace = pre_tokenizers.Metaspace()
    if t5:
        made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    else:
        made.normalizer = normalizers.Lowercase()
        made.pre_tokenizer = metaspace
    made.decoder = decoders.Metaspace()
    first, last = around
    made.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}".strip(),
        pair=(f"{first} $A {last} {last} $B {last}" if first else f"$A {last} $B {last}"),
        special_tokens=[(token, ids[token]) for token in around if token],
    )
    made.add_special_tokens(special)
    made.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": kind, "model_max_length": 62}
    _write(folder / "tokenizer_config.json", settings)
    return ids


def xlm_roberta_unigram(folder: Path) -> dict[str, Any]:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    _unigram(folder, special, "<unk>", ("<s>", "</s>"), "XLMRobertaTokenizerFast")
    return {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def albert_unigram(folder: Path) -> dict[str, Any]:
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    _unigram(folder, special, "<unk>", ("[CLS]", "[SEP]"), "AlbertTokenizerFast")
    return {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}


def t5_unigram(folder: Path) -> dict[str, Any]:
    # T5's own leave capital letters as they are, and split words before anything else.
    _unigram(folder, ["<pad>", "</s>", "<unk>"], "<unk>", ("", "</s>"), "T5TokenizerFast", t5=True)
    path = folder / "tokenizer_config.json"
    _write(path, {"tokenizer_class": "T5TokenizerFast", "model_max_length": 62, "extra_ids": 0})
    return {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}


def llama_bpe(folder: Path) -> dict[str, Any]:
    """Write a tokenizer.json of SentencePiece's BPE with a fallback to bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors

    special = ["<unk>", "<s>", "</s>"]
    tokens = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    tokens += "abcdefghijklmnopqrstuvwxyz.,!?"
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("▁", "a"), ("i", "s"), ("▁", "is")]
    tokens += ["".join(pair) for pair in merges]
    ids = {token: i for i, token in enumerate(tokens)}
    made = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    made.add_special_tokens(special)
    made.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "LlamaTokenizerFast", "model_max_length": 64}
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    _write(folder / "tokenizer_config.json", settings | named)
    return {"bos_token_id": 1, "eos_token_id": 2}


def modernbert_bpe(folder: Path) -> dict[str, Any]:
    """Write a tokenizer.json of byte-level BPE, which no class of transformers describes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    special = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
    ids = _byte_level(folder, special)
    made = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )
    made.add_special_tokens(list(special))
    made.save(str(folder / "tokenizer.json"))
    names = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64}
    inputs = {"model_input_names": ["input_ids", "attention_mask"]}
    _write(
        folder / "tokenizer_config.json", settings | inputs | dict(zip(names, special, strict=True))
    )
    around = {"cls_token_id": ids["[CLS]"], "sep_token_id": ids["[SEP]"]}
    ends = {"bos_token_id": ids["[CLS]"], "eos_token_id": ids["[SEP]"]}
    return {"pad_token_id": ids["[PAD]"], **around, **ends}
