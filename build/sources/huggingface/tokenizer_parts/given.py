"""The vocabulary and the settings that a class of transformers makes a tokenizer of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]
BERT_NAMES = {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
ROBERTA_NAMES = {"cls_token": "<s>", "sep_token": "</s>"}
ENDS = {"bos_token": "<s>", "eos_token": "</s>"}
# The special tokens that a class puts to use itself, as it names them where no file does.
NAMES: Mapping[str, Mapping[str, str]] = {
    "AlbertTokenizer": {"cls_token": "[CLS]", "sep_token": "[SEP]"},
    "BertTokenizer": BERT_NAMES,
    "CamembertTokenizer": ENDS,
    "DebertaTokenizer": BERT_NAMES,
    "DebertaV2Tokenizer": BERT_NAMES,
    "DistilBertTokenizer": BERT_NAMES,
    "GemmaTokenizer": {"unk_token": "<unk>"},
    "MPNetTokenizer": {**ROBERTA_NAMES, "unk_token": "[UNK]"},
    "RemBertTokenizer": {"cls_token": "[CLS]", "sep_token": "[SEP]"},
    "RobertaTokenizer": ROBERTA_NAMES,
    "XLMRobertaTokenizer": ENDS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The vocabulary file of a tokenizer, with the ids of all its tokens, and the settings that its class is given."""

    kind: str
    tokenizer: Document
    settings: Document
    ids: Mapping[str, int]

    def token(self, key: str) -> str:
        """Return the content of a named special token, or what its class has for none."""
        return content(self.settings.get(key) or NAMES[self.kind][key])


# What makes one part of tokenizer.json.
Part = Callable[[Given], Any]


def content(token: Any) -> str:
    """Return the text of a special token, which may be an object with flags."""
    return str(token["content"] if isinstance(token, dict) else token)


def always(part: Any) -> Part:
    """Return what makes the same part of any tokenizer."""
    return lambda given: part


def replacing(pattern: Mapping[str, str], by: str) -> dict[str, Any]:
    """Return the step that replaces a pattern: `{"String": ...}` or `{"Regex": ...}`."""
    return {"type": "Replace", "pattern": dict(pattern), "content": by}
