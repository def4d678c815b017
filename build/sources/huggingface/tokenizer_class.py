"""The class of a tokenizer in transformers 5, which decides what of its settings counts.

A class of the library's own makes its tokenizer of the vocabulary in tokenizer.json and of the settings in
tokenizer_config.json; `TokenizersBackend`, the class of every other one, takes tokenizer.json as it is.
https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/auto/tokenization_auto.py
"""

import json
from collections.abc import Mapping
from typing import Any

GENERIC = "TokenizersBackend"
# Names that stand for no class of its own.
GENERIC_NAMES = {"", GENERIC, "PythonBackend", "PreTrainedTokenizer"}
# The class of each architecture that is served, for a tokenizer that names none.
REGISTERED: Mapping[str, str] = {
    "albert": "AlbertTokenizer",
    "bart": "RobertaTokenizer",
    "bert": "BertTokenizer",
    "camembert": "CamembertTokenizer",
    "convbert": "BertTokenizer",
    "data2vec-text": "RobertaTokenizer",
    "deberta": "DebertaTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
    "distilbert": "BertTokenizer",
    "electra": "BertTokenizer",
    "esm": "EsmTokenizer",
    "flaubert": "FlaubertTokenizer",
    "gemma3_text": "GemmaTokenizer",
    "gpt2": "GPT2Tokenizer",
    "ibert": "RobertaTokenizer",
    "marian": "MarianTokenizer",
    "megatron-bert": "BertTokenizer",
    "mistral": GENERIC,
    "mobilebert": "BertTokenizer",
    "modernbert": GENERIC,
    "mpnet": "MPNetTokenizer",
    "mt5": "T5Tokenizer",
    "nystromformer": GENERIC,
    "qwen2": "Qwen2Tokenizer",
    "qwen3": "Qwen2Tokenizer",
    "rembert": "RemBertTokenizer",
    "roberta": "RobertaTokenizer",
    "roformer": "RoFormerTokenizer",
    "splinter": "SplinterTokenizer",
    "squeezebert": "BertTokenizer",
    "t5": "T5Tokenizer",
    "xlm": "XLMTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}
# Architectures whose files on the Hub often name another class than theirs, which transformers corrects.
CORRECTED = {"modernbert", "qwen2"}
# Classes under more than one name.
SAME = {
    "BartTokenizer": "RobertaTokenizer",
    "ElectraTokenizer": "BertTokenizer",
    "LayoutLMTokenizer": "BertTokenizer",
    "LEDTokenizer": "RobertaTokenizer",
    "LongformerTokenizer": "RobertaTokenizer",
    "LxmertTokenizer": "BertTokenizer",
    "MobileBertTokenizer": "BertTokenizer",
    "SqueezeBertTokenizer": "BertTokenizer",
}
# Classes that split texts by code of their own, which no tokenizer.json holds.
UNSERVED = {
    "BertJapaneseTokenizer", "BertweetTokenizer", "BioGptTokenizer", "BlenderbotSmallTokenizer", "ByT5Tokenizer",
    "CTRLTokenizer", "CanineTokenizer", "EsmTokenizer", "FSMTTokenizer", "FlaubertTokenizer",
    "GPTNeoXJapaneseTokenizer", "MarianTokenizer", "MyT5Tokenizer", "PerceiverTokenizer", "PhobertTokenizer",
    "ProphetNetTokenizer", "RoCBertTokenizer", "RoFormerTokenizer", "TapasTokenizer", "XLMTokenizer",
}  # fmt: skip
# Classes whose models get token types, unless `model_input_names` says otherwise.
TYPED = {
    "BertTokenizer", "ConvBertTokenizer", "DebertaTokenizer", "DebertaV2Tokenizer", "FNetTokenizer",
    "MarkupLMTokenizer",
}  # fmt: skip
TOKEN_TYPES = "token_type_ids"
# Architectures without token types of their own, which add the words of these numbers to a text's.
TYPES_AMONG_WORDS = {"flaubert", "gpt2", "xlm"}


def tokenizer_class(
    config: Mapping[str, Any], tokenizer_config: Mapping[str, Any], tokenizer: Mapping[str, Any]
) -> str:
    """Return the name of the class that transformers 5 loads for these files, by its rules."""
    named = str(tokenizer_config.get("tokenizer_class") or config.get("tokenizer_class") or "")
    named = _own_name(named)
    model_type = str(config.get("model_type", ""))
    registered = REGISTERED.get(model_type, "")
    if named == "LlamaTokenizer" and _has_byte_level(tokenizer):
        return GENERIC
    if not named:
        return registered or GENERIC
    # An architecture without a class of its own leaves no other one its name.
    if model_type in CORRECTED or registered == GENERIC:
        return registered
    return GENERIC if named in GENERIC_NAMES else named


def _own_name(name: str) -> str:
    """Return the name without the ending of transformers 4's fast classes."""
    if name == "PreTrainedTokenizerFast":
        return GENERIC
    name = name.removesuffix("Fast")
    return SAME.get(name, name)


def _has_byte_level(tokenizer: Mapping[str, Any]) -> bool:
    """Return whether any part of tokenizer.json works on bytes; Llama's class does on characters."""
    parts = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
    return any('"ByteLevel"' in json.dumps(tokenizer.get(part)) for part in parts)


def gives_token_types(named: str, tokenizer_config: Mapping[str, Any]) -> bool:
    """Return whether a model is given the token types of its texts, or none, which stands for type 0 throughout."""
    inputs = tokenizer_config.get("model_input_names")
    return named in TYPED if inputs is None else TOKEN_TYPES in inputs
