"""The chat template of a folder, the form of its messages and the variables it is given, as transformers reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build.sources.huggingface.config import optional_json
from build.sources.huggingface.tokenizer import TOKENIZER_CONFIG
from build.sources.huggingface.tokenizer_settings import NAMED

FILE, MORE, DEFAULT = "chat_template.jinja", "additional_chat_templates", "default"
# sentence-transformers takes these architectures' contents for texts, and those of a template with one of the signs
# for lists of parts; `base/modality.py` of its version 6.2.
FLAT_MODELS = ("apertus", "deepseek_v3", "gpt_oss", "seed_oss")
SIGNS = ("content[0]", ".type", "'type'", '"type"', "item.type", "message.content[")
FLAT, STRUCTURED, AUTO = "flat", "structured", "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A chat template: its program, the form of a message's content, and the variables besides the messages."""

    program: str
    form: str
    variables: Mapping[str, Any] = field(default_factory=dict)

    def message(self, role: str, text: str) -> dict[str, Any]:
        """Return a message in the template's form."""
        content = text if self.form == FLAT else [{"type": "text", "text": text}]
        return {"role": role, "content": content}


def program_of(folder: Path, tokenizer_config: Mapping[str, Any]) -> str:
    """Return the folder's template, "" where it has none: a file of its own comes before tokenizer_config.json."""
    files = {path.stem: path for path in sorted((folder / MORE).glob("*.jinja"))}
    if (folder / FILE).is_file():
        files[DEFAULT] = folder / FILE
    if files:
        return files[DEFAULT].read_text("utf-8") if DEFAULT in files else ""
    found = tokenizer_config.get("chat_template")
    if isinstance(found, list):
        named = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
        found = named.get(DEFAULT)
    return found if isinstance(found, str) else ""


def folder_template(folder: Path) -> str:
    """Return the template of a folder, "" where it has none."""
    return program_of(folder, optional_json(folder / TOKENIZER_CONFIG))


def template_of(
    program: str, form: str, model_type: str, tokenizer_config: Mapping[str, Any], **variables: Any
) -> Template:
    """Return a template; the form of messages is inferred for AUTO, and special tokens are variables by their names."""
    if form == AUTO:
        structured = model_type not in FLAT_MODELS and any(sign in program for sign in SIGNS)
        form = STRUCTURED if structured else FLAT
    tokens = {
        name: token["content"] if isinstance(token, dict) else token
        for name in NAMED
        if (token := tokenizer_config.get(name)) is not None
    }
    given = {"add_generation_prompt": False, **tokens, **variables}
    return Template(program=program, form=form, variables=given)
