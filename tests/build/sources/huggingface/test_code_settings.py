"""Settings that would run code or fetch something: refused by file, key and value before a library sees the folder."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from build.sources.huggingface.code_settings import RULES
from build.sources.readers import inspect
from contracts.problems import Code, Problem
from contracts.tasks import Task
from tests.build.sources.huggingface.conftest import Write
from tests.fixtures.paths import ROOT
from tests.fixtures.problems import assert_names

SENTENCE = "sentence_bert_config.json"
MODULES = "modules.json"
# A value of each key that does something, where one text is not enough.
VALUES: dict[str, Any] = {
    "auto_map": {"AutoModel": "modeling_evil.Model"},
    "num_beam_groups": 2,
    "penalty_alpha": 0.6,
    "activation_fn": "torch.hub.load",
    "activation_function": "os.system",
    "sbert_ce_default_activation_function": "torch.utils.collect_env.main",
    "configuration_files": ["config.5.0.0.json"],
    "fast_tokenizer_files": ["tokenizer.4.0.0.json"],
    "init_inputs": ["/etc/passwd"],
    "chat_template": [{"name": "../../evil", "template": "x"}],
}


def module(kind: str) -> list[dict[str, str]]:
    return [{"path": "", "type": kind}]


def found(folder: Path) -> list[Problem]:
    """Return the problems of settings alone."""
    _, problems = inspect(folder, Task.TEXT_CLASSIFICATION, None)
    return [
        problem for problem in problems if problem.code in (Code.CODE_REFUSED, Code.FILE_OUTSIDE)
    ]


def assert_refused(folder: Path, *expected: tuple[str, ...]) -> None:
    """Check that these settings are refused: a file each, and texts of the message."""
    problems = found(folder)
    assert [problem.where for problem in problems] == [f"{folder}: {file}" for file, *_ in expected]
    for problem, (_, *texts) in zip(problems, expected, strict=True):
        assert_names(problem.message, texts)


def test_a_folder_without_such_settings_is_read(write: Write) -> None:
    source, problems = inspect(write(), Task.TEXT_CLASSIFICATION, None)
    assert problems == []
    assert source


@pytest.mark.parametrize("key", RULES)
def test_each_key_is_refused_by_its_name_and_value(write: Write, key: str) -> None:
    value = VALUES.get(key, "org/kernel")
    assert_refused(write(**{key: value}), ("config.json", f"`{key}` = ", json.dumps(value)[:20]))


@pytest.mark.parametrize("key", RULES)
def test_a_key_without_a_value_is_harmless(write: Write, key: str) -> None:
    assert found(write(**{key: None})) == []


@pytest.mark.parametrize(
    ("file", "document", "texts"),
    [
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["a.B", None]}}, ("`auto_map`",)),
        ("processor_config.json", {"auto_map": {"AutoProcessor": "a.B"}}, ("`auto_map`",)),
        ("special_tokens_map.json", {"gguf_file": "/srv/x.gguf"}, ("`gguf_file`",)),
        ("generation_config.json", {"custom_generate": "org/way"}, ("`custom_generate`", "org/way")),
        ("0_Transformer/config.json", {"auto_map": {"AutoModel": "a.B"}}, ("`auto_map`",)),
        ("1_Pooling/config.json", {"auto_map": {"AutoModel": "a.B"}}, ("`auto_map`",)),
        ("2_Dense/config.json", {"activation_function": "evil.Tanh"}, ("evil.Tanh", "torch.nn")),
        ("config_sentence_transformers.json", {"activation_fn": "torch.hub.list"}, ("torch.hub.list",)),
        (MODULES, module("modeling.Transformer"), ("`0.type`", "modeling.Transformer")),
        (MODULES, module("torch.nn.Linear"), ("`0.type`", "torch.nn.Linear")),
        (MODULES, module("sentence_transformers.base.model.pickle"), ("`0.type`", "pickle")),
        ("router_config.json", {"types": {"q": "evil.Model"}}, ("`types.q`", "evil.Model")),
        ("tokenizer_config.json", {"chat_template": {"../x": "y"}}, ("`chat_template`", "../x")),
        (SENTENCE, {"tokenizer_name_or_path": "org/tokenizer"}, ("org/tokenizer",)),
        (SENTENCE, {"model_args": {"attn_implementation": "org/k"}}, ("`model_args.attn_impl",)),
        (SENTENCE, {"model_args": {"trust_remote_code": True}}, ("`model_args.trust_remote",)),
        (SENTENCE, {"model_kwargs": {"use_safetensors": False, "variant": "x"}}, ("variant", "handed")),
        (SENTENCE, {"config_args": {"config": "../other"}}, ("`config_args.config`", "../other")),
        (SENTENCE, {"tokenizer_args": {"revision": "x"}}, ("`tokenizer_args.revision`",)),
        (SENTENCE, {"modality_config": {"text": {"method": "push_to_hub"}}}, ("push_to_hub",)),
        ("sentence_xlm-roberta_config.json", {"model_args": {"gguf_file": "x"}}, ("gguf_file",)),
    ],
)  # fmt: skip
def test_every_file_that_a_library_reads_is_looked_through(
    write: Write, file: str, document: Any, texts: tuple[str, ...]
) -> None:
    assert_refused(write({file: document}), (file, *texts))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attn_implementation", "sdpa"),
        ("_attn_implementation", "eager"),
        ("attn_implementation", {"text_config": "sdpa", "": "eager"}),
        ("trust_remote_code", False),
        ("auto_map", {}),
        ("num_beam_groups", 1),
        ("penalty_alpha", 0.0),
        ("activation_function", "gelu_new"),
        ("activation_fn", "torch.nn.modules.linear.Identity"),
        ("sbert_ce_default_activation_function", "torch.nn.modules.activation.Sigmoid"),
        ("fast_tokenizer_files", ["tokenizer.json"]),
        ("_name_or_path", "bert-base-uncased"),
        ("chat_template", "{{ messages }}"),
        (
            "chat_template",
            [{"name": "default", "template": "x"}, {"name": "tool_use", "template": "y"}],
        ),
        ("chat_template", {"rag.v2": "x"}),
        ("_attn_implementation_autoset", True),
    ],
)
def test_values_that_fetch_and_run_nothing_are_harmless(
    write: Write, key: str, value: object
) -> None:
    assert found(write(**{key: value})) == []


@pytest.mark.parametrize(
    ("file", "document"),
    [
        (SENTENCE, {"max_seq_length": 16, "model_args": {"add_pooling_layer": False}}),
        (MODULES, module("sentence_transformers.models.Transformer")),
        (MODULES, module("sentence_transformers.cross_encoder.modules.logit_score.LogitScore")),
        ("2_Dense/config.json", {"activation_function": "torch.nn.modules.activation.Tanh"}),
        ("vocab.json", {"auto_map": 1, "custom_generate": 2}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"auto_map": {"content": "a"}}}),
        ("config_sentence_transformers.json", {"prompts": {"backbone": "find bones: "}}),
        ("trainer_state.json", {"auto_map": "x"}),
    ],
)
def test_files_that_tools_save_as_they_are_and_words_of_the_user_are_harmless(
    write: Write, file: str, document: Any
) -> None:
    assert found(write({file: document})) == []


@pytest.mark.parametrize("depth", [1, 2, 5, 400])
def test_a_key_is_found_however_deep_it_lies(write: Write, depth: int) -> None:
    nested: Any = {"_attn_implementation_internal": "org/kernel"}
    for level in range(depth):
        nested = {f"part_{level}": [nested] if level % 2 else nested}
    assert_refused(write(**nested), ("config.json", "_attn_implementation_internal", "org/kernel"))


def test_all_settings_of_all_files_are_told_at_once_with_what_else_keeps_it_from_being_read(
    write: Write,
) -> None:
    files = {
        "tokenizer_config.json": {"auto_map": {"AutoTokenizer": "a.B"}},
        MODULES: module("x.Y"),
    }
    folder = write(
        files, auto_map={"AutoModel": "a.B"}, use_kernels=True, text_config={"backbone": "org/b"}
    )
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate/generate.py").write_text("raise SystemExit", "utf-8")
    (folder / "model.safetensors").unlink()
    _, problems = inspect(folder, Task.TEXT_CLASSIFICATION, None)
    assert [problem.code for problem in problems] == ["file_missing", *["code_refused"] * 6]
    assert_refused(
        folder,
        ("config.json", "`auto_map`"),
        ("config.json", "`use_kernels` = true"),
        ("config.json", '`text_config.backbone` = "org/b"'),
        (MODULES, "x.Y"),
        ("tokenizer_config.json", "a.B"),
        ("custom_generate/generate.py", "code"),
    )


def test_a_long_value_is_cut(write: Write) -> None:
    (problem,) = found(write(auto_map={"AutoModel": "a." + "B" * 5000}))
    assert len(problem.message) < 400


def test_no_library_is_imported_and_no_code_of_the_folder_is_run(write: Write) -> None:
    folder = write(auto_map={"AutoConfig": "configuration_evil.Config"})
    ran = folder / "ran"
    evil = f"open({str(ran)!r}, 'w').close()\nclass Config: pass\n"
    (folder / "configuration_evil.py").write_text(evil, "utf-8")
    code = f"""
import sys
from pathlib import Path
from build.sources.readers import inspect
from contracts.tasks import Task
source, problems = inspect(Path({str(folder)!r}), Task.TEXT_CLASSIFICATION, None)
print(source, [str(problem.code) for problem in problems])
print(sorted({{"torch", "transformers", "sentence_transformers", "onnx"}} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["None ['code_refused']", "[]"]
    assert not ran.exists()
