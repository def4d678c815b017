"""The parts of a tokenizer by the class of transformers 5 that makes them, whatever tokenizer.json has in their place.

Such a class takes the vocabulary from tokenizer.json and its settings from tokenizer_config.json. `PARTS` has what it
makes; the rest is taken from the file. Each class is in a module of its own:
https://github.com/huggingface/transformers/tree/v5.24.0/src/transformers/models
"""

from collections.abc import Mapping
from typing import Any

from build.sources.huggingface.tokenizer_parts import normalizers, post_processors, pre_tokenizers
from build.sources.huggingface.tokenizer_parts.given import Given, Part, always, replacing


def _pieces_to_text(*steps: Any) -> dict[str, Any]:
    mark = replacing({"String": pre_tokenizers.SPACE}, " ")
    return {
        "type": "Sequence",
        "decoders": [mark, {"type": "ByteFallback"}, {"type": "Fuse"}, *steps],
    }


def _llama_decoder(given: Given) -> Any:
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    return _pieces_to_text(*([strip] if pre_tokenizers.begins_with_space(given) else []))


def _model(kind: str, **values: Any) -> Part:
    """Return a model of that kind with these values, made of the file's vocabulary; a list needs that of a Unigram."""

    def made(given: Given) -> Any:
        found = given.tokenizer.get("model") or {}
        if found.get("type") != kind:
            if kind == "Unigram" or not isinstance(found.get("vocab"), dict):
                return found
            merges = {"merges": found.get("merges", [])} if kind == "BPE" else {}
            found = {"type": kind, "vocab": found["vocab"], **merges}
        # Null, false and an empty text are as good as no key.
        return {
            **found,
            **{k: v for k, v in values.items() if (found.get(k) or None) != (v or None)},
        }

    return made


def _word_pieces(given: Given) -> Any:
    unknown = given.token("unk_token")
    known = {"unk_token": unknown} if unknown in given.ids else {}
    return _model(
        "WordPiece", continuing_subword_prefix="##", max_input_chars_per_word=100, **known
    )(given)


def _gemma_pieces(given: Given) -> Any:
    return _model("BPE", unk_token=given.token("unk_token"), **FALLING_BACK)(given)


# Unknown characters become tokens of bytes.
FALLING_BACK = {"fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "dropout": None}
BYTE_PAIRS = _model(
    "BPE", unk_token=None, fuse_unk=False, byte_fallback=False, ignore_merges=False, dropout=None,
    continuing_subword_prefix="", end_of_word_suffix="",
)  # fmt: skip
BERT: Mapping[str, Part] = {
    "model": _word_pieces,
    "normalizer": normalizers.bert,
    "pre_tokenizer": always({"type": "BertPreTokenizer"}),
    "decoder": always({"type": "WordPiece", "prefix": "##", "cleanup": True}),
    "post_processor": post_processors.around("cls_token", "sep_token", types=True),
}
BYTES: Mapping[str, Part] = {
    "model": BYTE_PAIRS,
    "normalizer": always(None),
    "pre_tokenizer": pre_tokenizers.of_bytes,
    "decoder": always(pre_tokenizers.byte_level(True)),
}
PARTS: Mapping[str, Mapping[str, Part]] = {
    "AlbertTokenizer": {
        "model": _model("Unigram", unk_id=1, byte_fallback=False),
        "normalizer": normalizers.albert,
        "pre_tokenizer": pre_tokenizers.words,
        "post_processor": post_processors.unless_given(BERT["post_processor"]),
    },
    "BertTokenizer": BERT,
    "CamembertTokenizer": {
        "normalizer": normalizers.precompiled,
        "pre_tokenizer": pre_tokenizers.words,
        "post_processor": post_processors.around("bos_token", "eos_token", twice=True),
    },
    "DebertaTokenizer": {
        **BYTES,
        "post_processor": post_processors.around("cls_token", "sep_token", twice=True),
    },
    "DebertaV2Tokenizer": {
        "normalizer": normalizers.deberta_v2,
        "pre_tokenizer": pre_tokenizers.deberta_v2,
        "post_processor": BERT["post_processor"],
    },
    "DistilBertTokenizer": BERT,
    "GPT2Tokenizer": BYTES,
    "GemmaTokenizer": {
        "model": _gemma_pieces,
        "normalizer": always(replacing({"String": " "}, pre_tokenizers.SPACE)),
        "pre_tokenizer": always(pre_tokenizers.BEHIND_SPACES),
        "decoder": always(_pieces_to_text()),
    },
    "LlamaTokenizer": {
        "model": _model("BPE", unk_token=None, **FALLING_BACK),
        "normalizer": always(None),
        "pre_tokenizer": pre_tokenizers.llama,
        "decoder": _llama_decoder,
    },
    "MPNetTokenizer": {**BERT, "post_processor": post_processors.mpnet},
    "Qwen2Tokenizer": {
        "model": BYTE_PAIRS,
        "normalizer": always({"type": "NFC"}),
        "pre_tokenizer": pre_tokenizers.qwen2,
        "decoder": always(pre_tokenizers.byte_level(True)),
    },
    "RemBertTokenizer": {
        "model": _model("Unigram", unk_id=2, byte_fallback=False),
        "normalizer": normalizers.rembert,
        "pre_tokenizer": pre_tokenizers.rembert,
        "post_processor": post_processors.if_given(BERT["post_processor"]),
    },
    "RobertaTokenizer": {**BYTES, "post_processor": post_processors.roberta},
    "T5Tokenizer": {
        "model": _model("Unigram", unk_id=2, byte_fallback=False),
        "normalizer": normalizers.precompiled,
        "pre_tokenizer": always(pre_tokenizers.at_spaces("always")),
        "decoder": always(pre_tokenizers.metaspace("always")),
        "post_processor": post_processors.t5,
    },
    "XLMRobertaTokenizer": {
        "model": _model("Unigram", unk_id=3, byte_fallback=False),
        "normalizer": normalizers.precompiled,
        "pre_tokenizer": pre_tokenizers.words,
        "post_processor": post_processors.around("bos_token", "eos_token", twice=True),
    },
}  # fmt: skip
