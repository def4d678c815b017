"""A chat becomes the text that transformers makes of it, and a template harms nobody."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.http_errors import InvalidInput
from contracts.prediction import PredictRequest
from functions.inference.prompt import sandbox
from functions.inference.prompt.template import ANY, PARTS, TEXT, ChatTemplate, chat_problems
from tests.fixtures.models.tiny_decoders import byte_level

TOKENS = {"eos_token": "</s>", "pad_token": "<pad>"}
Messages = Sequence[Mapping[str, Any]]
ASKED: Messages = [{"role": "user", "content": "Größe & <b>'ja'</b>?"}]
SPOKEN: Messages = [
    {"role": "system", "content": "  Be short.\n"},
    *ASKED,
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes."},
    {"role": "user", "content": "東京 {{ 1 + 1 }} {% if %}"},
    {"role": "tool", "content": '{"°C": 5}', "tool_call_id": "call_1"},
    {"role": "user", "content": "", "name": "ann"},
]
# Each has parts that templates of the Hub have, in words of its own.
CHATML = """\
{% for message in messages %}
{% if loop.first and message['role'] != 'system' %}{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}{% endif %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{% endif %}
"""
THINKING = """\
{%- set ns = namespace(last=messages|length - 1, found=false) %}
{%- for message in messages[::-1] %}
    {%- if not ns.found and message.role == "user" and not message.content.startswith('<tool') %}
        {%- set ns.found = true %}
        {%- set ns.last = (messages|length - 1) - loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is not string %}{%- continue %}{%- endif %}
    {%- if message.role == 'assistant' and '</think>' in message.content and loop.index0 < ns.last %}
        {{- '<|' ~ message.role ~ '|>' ~ message.content.split('</think>')[-1].lstrip('\\n') ~ eos_token }}
    {%- elif message.role == "tool" %}
        {{- '<result>' ~ message.content|trim ~ '</result>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{- '\\n' }}{%- endif %}
    {%- else %}
        {{- '<|' ~ message.role ~ '|>' ~ message.content ~ eos_token }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think></think>' }}{%- endif %}
{%- endif %}
"""
DUMPED = """\
{% macro shown(value, depth=0) %}{{ value | tojson(indent=depth or none) }}{% endmacro %}
{{ shown(messages, 2) }} {{ messages | tojson(ensure_ascii=True) }} {{ messages[0] | tojson(sort_keys=True) }}
{{ {'a': [1, 2.5, none, true]} | tojson(separators=(',', ':')) }} {{ '<&>' | tojson }}{{ bos_token }}
{{ dict(a=1, b=2).items() | list }} {{ dict.fromkeys('ab', 1) }} {{ tools is none }}{{ documents }}
"""
MARKED = """\
{%- set word = 'one' -%}
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{% generation %}{% set word = 'two' %}{{ message.content }}{{ word }}{% endgeneration %}
{%- else -%}{{ message.content }}{%- endif -%}{{ word }}{{ eos_token }}
{%- endfor -%}
"""
DATED = "{{ strftime_now('%Y') }}{{ messages[0].content }}"
NAMED = "{% set ns = namespace(self=1, other=[1]) %}{{ ns.self }}{% set ns.self = 'x' %}{{ ns.self * 3 }}{{ 2 ** 5 }}"
TEMPLATES = {
    "chatml": CHATML, "thinking": THINKING, "dumped": DUMPED, "marked": MARKED, "dated": DATED, "named": NAMED,
}  # fmt: skip


def template(program: str, content: str = ANY) -> ChatTemplate:
    return ChatTemplate(program=program, content=content, variables=TOKENS)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer") / "byte_level"
    byte_level(folder, "</s> $A")
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.build
@pytest.mark.parametrize("chat", [ASKED, SPOKEN], ids=["asked", "spoken"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_chat_is_rendered_as_transformers_renders_it(
    tokenizer: Any, name: str, chat: Messages
) -> None:
    ours = template(TEMPLATES[name]).render(chat)
    given: dict[str, Any] = {"chat_template": TEMPLATES[name], "add_generation_prompt": True}
    assert ours == tokenizer.apply_chat_template(list(chat), tokenize=False, **given)
    assert len(ours) > 3


@pytest.mark.build
def test_parts_are_given_to_a_template_that_reads_them(tokenizer: Any) -> None:
    program = "{% for m in messages %}{% for p in m.content %}[{{ p.type }} {{ p.text }}]{% endfor %}{% endfor %}"
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    chat = [{"role": "user", "content": parts}]
    theirs = tokenizer.apply_chat_template(chat, chat_template=program, tokenize=False)
    for content in (ANY, PARTS):
        assert template(program, content).render(chat) == theirs == "[text a][text b]"
    texts = [{"role": "user", "content": "a"}]
    assert template(program, PARTS).render(texts) == "[text a]"


def test_parts_are_lines_for_a_template_that_reads_texts_alone() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    chat = [{"role": "user", "content": parts}]
    assert template("{{ messages[0].content + '!' }}", TEXT).render(chat) == "a\nb!"


@pytest.mark.parametrize(
    ("arguments", "written"),
    [('{"b": 2, "a": "ö"}', '{"b": 2, "a": "ö"}'), ("[1]", '"[1]"'), ("{", '"{"')],
)
def test_the_arguments_of_a_call_are_an_object_where_their_text_is_one(
    arguments: str, written: str
) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    chat = [{"role": "assistant", "content": "", "tool_calls": [call]}]
    program = "{% for c in messages[0].tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}"
    assert template(program).render(chat) == written
    assert call["function"]["arguments"] == arguments  # type: ignore[index]


def test_the_time_is_that_of_the_clock() -> None:
    made = sandbox.compiled("{{ strftime_now('%d %b') }}", lambda: datetime(2026, 11, 27))
    assert sandbox.render(made, {}, 5) == "27 Nov"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("{{ raise_exception('Conversation roles must alternate') }}",
         "the model's chat template refuses it: Conversation roles must alternate"),
        ("{% if messages[0].role == 'user' %}{{ raise_exception('No ' + messages[0].role) }}{% endif %}",
         "refuses it: No user"),
        ("{{ messages[9].content.strip() }}", "(UndefinedError: list object has no element 9"),
        ("{{ 1 + 'a' }}", "fails on it (TypeError: unsupported operand"),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "fails on it (RecursionError"),
        # Ways out of a sandbox.
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "is unsafe"),
        ("{{ ''['__cl' ~ 'ass__'] }}{{ (''|attr('__class__')).x }}", "(SecurityError: "),
        ("{{ '{0.__class__.x}'.format('') }}", "is unsafe"),
        ("{{ raise_exception.__globals__['sys'].exit() }}", "is unsafe"),
        ("{{ namespace.__init__.__globals__ }}{{ namespace.mro() }}", "(SecurityError: "),
        ("{{ namespace(__class__=1) }}", "begins with an underscore"),
        ("{% set ns = namespace() %}{% set ns._x = 1 %}", "begins with an underscore"),
        ("{{ dict.mro() }}", "has no attribute 'mro'"),
        ("{{ messages.append(1) }}", "is unsafe"),
        ("{{ messages[0].update(role='system') }}", "is unsafe"),
        ("{% include 'a' %}", "no loader for this environment"),
        # What never ends, and what fills the memory.
        ("{{ 'a' * 10000000000 }}", "makes more than 8,388,608 characters"),
        ("{{ 10000000000 * [1] }}", "makes more than"),
        ("{{ 9 ** (9 ** 9) }}", "makes more than"),
        ("{% for i in range(100000) %}{{ 'a' * 1000 }}{% endfor %}", "makes more than"),
        ("{% for i in range(10000000) %}{% endfor %}", "Range too big"),
    ],
)  # fmt: skip
def test_a_template_that_fails_is_named_and_does_no_harm(program: str, words: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        template(program).render(ASKED)
    assert words in str(raised.value)
    assert str(raised.value).startswith("the model's chat template ")


def test_loops_without_end_are_stopped_by_the_clock() -> None:
    loops = "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}"
    start = time.monotonic()
    with pytest.raises(sandbox.TooMuch, match="is not done after 0.05 seconds"):
        sandbox.render(sandbox.compiled(loops), {}, 0.05)
    assert time.monotonic() - start < 60


def test_the_messages_of_a_request_are_left_as_they_are() -> None:
    chat = [dict(ASKED[0])]
    with pytest.raises(InvalidInput):
        template("{% set _ = messages[0].pop('role') %}").render(chat)
    template("{% set messages = [] %}{{ 1 }}").render(chat)
    assert chat == ASKED


def test_each_chat_of_a_request_has_its_problem() -> None:
    strict = template("{% if messages|length > 1 %}{{ raise_exception('one') }}{% endif %}")
    spoken = {"messages": SPOKEN}
    several = PredictRequest(inputs=(spoken, "a", spoken, {"messages": ASKED}, spoken))
    assert [one.pointer for one in chat_problems(several, strict)] == [
        f"/inputs/{place}/messages" for place in (0, 2, 4)
    ]
    request = PredictRequest(inputs=("a", {"messages": ASKED}, spoken))
    (problem,) = chat_problems(request, strict)
    assert (problem.pointer, "refuses it: one" in problem.detail) == ("/inputs/2/messages", True)
    full = replace(request, parameters={"return_full_text": True})
    assert [one.pointer for one in chat_problems(full, strict)] == [
        "/parameters/return_full_text",
        "/inputs/2/messages",
    ]
    without = [one.detail for one in chat_problems(request, None)]
    assert without == ["the model has no chat template; send a text"] * 2


def test_jinja_is_imported_by_the_first_chat() -> None:
    import subprocess
    import sys

    code = (
        "import sys; import functions.inference.generation as g; "
        "assert 'functions.inference.prompt.template' in sys.modules; "
        "sys.exit('jinja2' in sys.modules)"
    )
    root = Path(__file__).parents[4]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
