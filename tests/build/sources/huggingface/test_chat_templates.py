"""The chat template of a model that writes: what is sealed of it, and which is refused."""

import inspect as python_inspect
import json
from pathlib import Path
from typing import Any

import pytest

from build.sources.gguf.source import template_program
from build.sources.huggingface.chat import writer
from build.sources.huggingface.folder_files import read_folder_files
from build.sources.readers import inspect
from build.sources.source import GgufSource, Source, Unusable
from contracts.tasks import Task
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_decoders import gpt2, llama
from tests.fixtures.models.tiny_gguf import write_gguf
from tests.fixtures.problems import assert_problems

pytestmark = pytest.mark.build

TEXTS = (
    "{% for m in messages %}{{ '<' + m.role + '>' + m.content + eos_token }}{% endfor %}<assistant>"
)
EITHER = (
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}{% endfor %}"
)
PARTS = "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
QUOTING = "{% for m in messages %}{{ m.content | string }}{% endfor %}"
DUMPING = "{% for m in messages %}{{ m.content | tojson }}{% endfor %}"
NEEDS_SYSTEM = (
    "{% if messages[0].role != 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEXTS
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("source") / "llama")


def described(program: str) -> dict[str, Any]:
    found: dict[str, Any] = writer.described(program, {"eos_token": "</s>"})["chat"]
    return found


@pytest.mark.parametrize(
    ("program", "content"),
    [
        (TEXTS, "text"),
        (NEEDS_SYSTEM, "text"),
        (QUOTING, "text"),
        (DUMPING, "text"),
        (EITHER, "any"),
        (PARTS, "parts"),
    ],
)
def test_the_form_of_contents_is_the_one_that_a_template_writes(program: str, content: str) -> None:
    assert described(program) == {"content": content, "variables": {"eos_token": "</s>"}}


def test_a_template_that_writes_the_time_is_marked() -> None:
    assert described("{{ strftime_now('%d') }}" + TEXTS)["dated"] is True
    assert "dated" not in described("{% if false %}{{ strftime_now('%d') }}{% endif %}" + TEXTS)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("{% for %}", "cannot be run (TemplateSyntaxError: "),
        ("{{ messages[0].text }}", "drops the message of the user"),
        ("{{ raise_exception('Never') }}", "cannot be run (Refused: Never)"),
        ("{{ ''.__class__.__mro__ }}", "cannot be run (SecurityError: "),
        ("{{ 'a' * 3000000000 }}" + TEXTS, "cannot be run (TooMuch: makes more than"),
        ("{{ '%3000000000d' % 1 }}" + TEXTS, "cannot be run (MemoryError"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
         "is not done after"),
    ],
)  # fmt: skip
def test_a_broken_template_is_refused_with_the_reason(program: str, reason: str) -> None:
    with pytest.raises(Unusable) as raised:
        described(program)
    (problem,) = raised.value.problems
    assert problem.code == "setting_unsupported"
    assert reason in problem.message
    assert problem.message.startswith("its chat template ")
    assert "correct chat_template.jinja, or take the template out" in problem.message


def test_a_folder_with_a_broken_template_is_named_and_scores_texts_all_the_same(
    tmp_path: Path,
) -> None:
    folder = llama(tmp_path / "llama")
    (folder / "chat_template.jinja").write_text("{% if %}", "utf-8")
    source, problems = inspect(folder, Task.TEXT_GENERATION, None, None)
    assert source is None
    assert_problems(
        problems, ("setting_unsupported", folder, "its chat template cannot be run", "SyntaxError")
    )
    scored, problems = inspect(folder, Task.LANGUAGE_MODEL_SCORING, None, None)
    assert (problems, "chat" in details(scored)) == ([], False)


def details(source: Source | None) -> Any:
    assert source is not None
    return source.details


def test_templates_are_those_of_transformers_and_with_them_the_special_tokens(
    tmp_path: Path,
) -> None:
    from transformers import AutoTokenizer

    folder = llama(tmp_path / "llama")
    assert "chat" not in details(inspect(folder, Task.TEXT_GENERATION, None, None)[0])
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8"))
    named = [{"name": "default", "template": TEXTS}, {"name": "tool_use", "template": "{{ 1 }}"}]
    # A token as an object, as older releases saved it.
    eos = {"__type": "AddedToken", "content": "</s>", "special": True}
    for found in (TEXTS, named):
        changed = {**settings, "chat_template": found, "eos_token": eos, "bos_token": "<pad>"}
        path.write_text(json.dumps(changed), "utf-8")
        chat = details(inspect(folder, Task.TEXT_GENERATION, None, None)[0])["chat"]
        theirs = AutoTokenizer.from_pretrained(folder)
        assert chat == {"content": "text", "variables": theirs.special_tokens_map}
        assert chat["variables"]["bos_token"] == "<pad>"
    # A file of its own comes first.
    (folder / "chat_template.jinja").write_text(PARTS, "utf-8")
    chat = details(inspect(folder, Task.TEXT_GENERATION, None, None)[0])["chat"]
    assert chat["content"] == "parts"
    # Without a default, transformers has none either.
    (folder / "chat_template.jinja").unlink()
    path.write_text(json.dumps({**settings, "chat_template": named[1:]}), "utf-8")
    assert "chat" not in details(inspect(folder, Task.TEXT_GENERATION, None, None)[0])


@pytest.mark.parametrize("kind", writer.OF_CLASS)
def test_a_class_has_its_own_special_tokens_where_no_file_names_them(kind: str) -> None:
    import transformers

    parameters = python_inspect.signature(getattr(transformers, kind).__init__).parameters
    defaults = {
        name: str(one.default)
        for name, one in parameters.items()
        if name.endswith("_token") and isinstance(one.default, str)
    }
    assert defaults == writer.OF_CLASS[kind]


def test_older_folders_name_special_tokens_in_a_map(tmp_path: Path) -> None:
    folder = gpt2(tmp_path / "gpt2")
    path = folder / "tokenizer_config.json"
    settings = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 48, "pad_token": None}
    path.write_text(json.dumps(settings), "utf-8")
    (folder / "special_tokens_map.json").write_text('{"eos_token": "</s>"}', "utf-8")
    found = writer.special_tokens(read_folder_files(folder))
    assert found == {
        "bos_token": "<|endoftext|>",
        "eos_token": "</s>",
        "unk_token": "<|endoftext|>",
    }


def test_a_gguf_file_has_its_template_in_its_header(folder: Path, tmp_path: Path) -> None:
    path = write_gguf(folder, tmp_path / "m.gguf", {"tokenizer.chat_template": TEXTS})
    source = read_as(GgufSource, path, Task.TEXT_GENERATION)
    assert source.details["chat"] == {
        "content": "text",
        "variables": {"bos_token": "</s>", "eos_token": "</s>"},
    }
    scored = read_as(GgufSource, path, Task.LANGUAGE_MODEL_SCORING)
    assert "chat" not in scored.details


def test_a_gguf_file_without_one_or_with_another_value_has_none(
    folder: Path, tmp_path: Path
) -> None:
    from build.sources.gguf.header import read_header

    path = write_gguf(folder, tmp_path / "m.gguf", {"tokenizer.chat_template": True})
    assert template_program(read_header(path)) == ""
