"""The chat template of a model that writes: the form of contents that it reads, and the special tokens it is given."""

from collections.abc import Mapping, Sequence
from typing import Any

from build.sources.huggingface.chat.renderer import Message, NotRendered, attempt
from build.sources.huggingface.chat.template_files import FILE, program_of
from build.sources.huggingface.config import optional_json
from build.sources.huggingface.folder_files import FolderFiles
from build.sources.huggingface.tokenizer_settings import NAMED
from build.sources.source import Unusable
from contracts.manifest import CHAT
from contracts.problems import Code
from functions.inference.prompt.template import ANY, PARTS, TEXT

# The special tokens of a class where no file names them, by transformers 5; of others, none.
ENDOFTEXT = "<|endoftext|>"
OF_CLASS: Mapping[str, Mapping[str, str]] = {
    "GemmaTokenizer": {
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
    },
    "GPT2Tokenizer": dict.fromkeys(("bos_token", "eos_token", "unk_token"), ENDOFTEXT),
    "LlamaTokenizer": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "Qwen2Tokenizer": dict.fromkeys(("eos_token", "unk_token", "pad_token"), ENDOFTEXT),
}
# A content that no template writes by itself.
MARK = "Quack7"
BY_PARTS = [{"type": "text", "text": MARK}]
# Some templates have no chat without a message of the system, others none with one.
SYSTEM = ({"role": "system", "content": "Be kind."},)
DAYS = ("2026-01-02T03:04:05", "2031-11-12T13:14:15")


def details(files: FolderFiles) -> dict[str, Any]:
    """Return the detail of a folder's template, nothing where it has none; raise Unusable for one that is broken."""
    program = program_of(files.folder, files.tokenizer_config)
    return described(program, special_tokens(files)) if program else {}


def special_tokens(files: FolderFiles) -> dict[str, str]:
    """Return the special tokens by the names that a template has for them."""
    config = files.tokenizer_config
    before = {}
    # As in transformers: the map is read only by tokenizers that were saved before version 4.34.
    if "added_tokens_decoder" not in config:
        before = optional_json(files.folder / "special_tokens_map.json")
    named = {**OF_CLASS.get(files.tokenizer.kind, {}), **config, **before}
    return {
        name: token["content"] if isinstance(token, dict) else str(token)
        for name in NAMED
        if (token := named.get(name)) is not None
    }


def described(program: str, tokens: Mapping[str, str]) -> dict[str, Any]:
    """Return the detail of a template's program with the special tokens; raise Unusable for one that is broken.

    `content` is the form of a message's content that it reads. Of one that writes the time, `dated` is true.
    """
    variables = {**tokens, "add_generation_prompt": True}
    chats = [_chat(before, content) for before in ((), SYSTEM) for content in (MARK, BY_PARTS)]
    try:
        found, later = (attempt(program, chats, variables, time=day) for day in DAYS)
    except NotRendered as error:
        raise _broken(str(error)) from error
    texts, parts = found[::2], found[1::2]
    content = next(filter(None, map(_content, texts, parts)), None)
    if content is None:
        raise _broken(_reason(texts[0], parts[0]))
    dated = {"dated": True} if list(map(str, found)) != list(map(str, later)) else {}
    return {CHAT: {"content": content, "variables": dict(tokens), **dated}}


def _chat(before: Sequence[Message], content: Any) -> list[Message]:
    return [*before, {"role": "user", "content": content}]


def _content(text: str | NotRendered, parts: str | NotRendered) -> str | None:
    """Return the form of contents that a template reads, by what it made of both; None if it reads neither."""
    if isinstance(text, str) and MARK in text:
        return ANY if text == parts else TEXT
    # Python's form of a list, or that of JSON, is what a template of texts makes of parts.
    read = isinstance(parts, str) and MARK in parts and not _quoted(parts)
    return PARTS if read else None


def _quoted(text: str) -> bool:
    return any(f"{quote}text{quote}: {quote}{MARK}" in text for quote in ("'", '"'))


def _reason(text: str | NotRendered, parts: str | NotRendered) -> str:
    failed = next((one for one in (text, parts) if isinstance(one, NotRendered)), None)
    return f"cannot be run ({failed})" if failed else "drops the message of the user"


def _broken(reason: str) -> Unusable:
    return Unusable(
        Code.SETTING_UNSUPPORTED,
        f"its chat template {reason}; correct {FILE}, or take the template out if texts alone are to be continued",
    )
