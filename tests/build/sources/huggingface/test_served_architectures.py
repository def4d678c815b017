"""Architectures that are not served, and weights in forms that are not read: told by name, and no library loaded."""

import fnmatch
import importlib.util
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from build.sources.huggingface.served_architectures import KINDS, SERVED, served
from build.sources.readers import inspect
from build.tasks.registry import TASKS
from contracts.tasks import Task
from tests.build.sources.huggingface.conftest import CONFIG, Write, write_weights
from tests.fixtures.models.sources import assert_refused
from tests.fixtures.paths import ROOT

CLASSES, TEXTS, CHAT = Task.TEXT_CLASSIFICATION, Task.TEXT2TEXT_GENERATION, Task.TEXT_GENERATION
UNSUPPORTED, FORM = "architecture_unsupported", "format_unsupported"


@pytest.mark.parametrize(
    ("task", "model_type", "head", "texts"),
    [
        (CLASSES, "longformer", "LongformerForSequenceClassification", ("global attention", "bert, ")),
        (CLASSES, "big_bird", "BigBirdForSequenceClassification", ("global attention", "BigBird")),
        (TEXTS, "led", "LEDForConditionalGeneration", ("global attention", "t5")),
        (TEXTS, "longt5", "LongT5ForConditionalGeneration", ("global attention", "LongT5")),
        (CHAT, "mamba2", "Mamba2ForCausalLM", ("keeps a state", "qwen3")),
        (CHAT, "jamba", "JambaForCausalLM", ("keeps a state", "Jamba")),
        (CHAT, "mixtral", "MixtralForCausalLM", ("mixture of experts", "Mixtral")),
        (CHAT, "qwen3_moe", "Qwen3MoeForCausalLM", ("mixture of experts", "Qwen3Moe")),
        (CHAT, "deepseek_v3", "DeepseekV3ForCausalLM", ("mixture of experts", "Deepseek")),
        (CHAT, "gpt_oss", "GptOssForCausalLM", ("mixture of experts", "GptOss")),
        (CHAT, "gemma3", "Gemma3ForConditionalGeneration", ("reads images", "Gemma3")),
        (CHAT, "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration", ("reads images", "VL")),
        (CHAT, "llava_next", "LlavaNextForConditionalGeneration", ("reads images", "Llava")),
        (CLASSES, "vit", "ViTForImageClassification", ("reads images", "ViT")),
        (CLASSES, "clip", "CLIPModel", ("reads images", "CLIP")),
        (CLASSES, "layoutlmv3", "LayoutLMv3ForSequenceClassification", ("reads images", "LayoutLM")),
        (TEXTS, "whisper", "WhisperForConditionalGeneration", ("sound", "Whisper")),
        (CLASSES, "wav2vec2", "Wav2Vec2ForSequenceClassification", ("sound", "Wav2Vec2")),
        (TEXTS, "m2m_100", "M2M100ForConditionalGeneration", ("encoder and a decoder", "M2M100")),
        (TEXTS, "mbart", "MBartForConditionalGeneration", ("encoder and a decoder", "bart, marian, mt5, t5")),
        (TEXTS, "pegasus", "PegasusForConditionalGeneration", ("encoder and a decoder", "Pegasus")),
        (CLASSES, "mbart", "MBartForSequenceClassification", ("encoder and a decoder", "bart, ")),
        (TEXTS, "rag", "RagSequenceForGeneration", ("encoder and a decoder", "rag")),
        (CLASSES, "t5", "T5ForSequenceClassification", ("encoder and a decoder", "T5")),
        (CLASSES, "canine", "CanineForSequenceClassification", ("characters", "Canine")),
        (CLASSES, "nomic_bert_x", "NomicForSequenceClassification", ("not one that is served", "nomic")),
    ],
)  # fmt: skip
def test_an_architecture_that_is_not_served_is_named_with_the_reason_and_what_is_served(
    write: Write, task: Task, model_type: str, head: str, texts: tuple[str, ...]
) -> None:
    folder = write(model_type=model_type, architectures=[head])
    assert_refused(folder, (UNSUPPORTED, model_type, head, *texts, str(task)), task=task)


def test_a_decoder_of_both_directions_generates_nothing(write: Write) -> None:
    for key, value in (("use_bidirectional_attention", True), ("is_causal", False)):
        folder = write(model_type="qwen3", architectures=["Qwen3ForCausalLM"], **{key: value})
        for task in (CHAT, Task.LANGUAGE_MODEL_SCORING):
            expected = ("setting_unsupported", "tokens see those behind", f"`{key}`", str(task))
            assert_refused(folder, expected, task=task)


def test_a_decoder_that_classifies_has_to_know_its_padding(write: Write) -> None:
    head = ["Qwen3ForSequenceClassification"]
    folder = write(model_type="qwen3", architectures=head, num_labels=1, pad_token_id=None)
    for task in (CLASSES, Task.TEXT_RANKING):
        assert_refused(folder, ("setting_invalid", "`pad_token_id`"), task=task)


def test_what_a_config_has_tells_more_than_its_name(write: Write) -> None:
    several = write(model_type="new_thing", vision_config={"hidden_size": 2})
    assert_refused(several, (UNSUPPORTED, "new_thing", "reads images or sound"))
    code = {"AutoConfig": "configuration_thing.Config"}
    _, problems = inspect(write(model_type="new_thing", auto_map=code), CLASSES, None)
    assert [problem.code for problem in problems] == ["code_refused", UNSUPPORTED]
    assert "comes as code of its own" in problems[1].message


def test_a_config_without_an_architecture_is_refused(write: Write) -> None:
    for nothing in ("", None, 7):
        assert_refused(write(model_type=nothing), (UNSUPPORTED, "no `model_type`", "save"))


def test_a_head_of_another_task_is_told_as_that(write: Write) -> None:
    folder = write(architectures=["BertModel"])
    assert_refused(folder, ("task_unsupported", "BertModel", "ForSequenceClassification"))
    assert_refused(folder, ("task_unsupported", "BertModel", "ForCausalLM"), task=CHAT)


def test_every_name_and_pattern_is_of_an_architecture_that_transformers_has() -> None:
    """Another one is a slip of the pen."""
    found = importlib.util.find_spec("transformers")
    assert found
    assert found.origin
    known = {path.name for path in Path(found.origin, "../models").resolve().iterdir()}
    named = {name.replace("-", "_").removesuffix("_text") for name in SERVED}
    assert named <= known
    patterns = [pattern for _, patterns in KINDS for pattern in patterns.split()]
    assert [p for p in patterns if not fnmatch.filter(known, p.replace("-", "_"))] == []


@pytest.mark.slow
def test_no_architecture_that_some_task_serves_is_told_as_of_another_kind(write: Write) -> None:
    for task, description in TASKS.items():
        for name in served(description):
            folder = write(
                model_type=name, architectures=[description.transformers.architectures[0]]
            )
            _, problems = inspect(folder, task, None)
            assert [p for p in problems if p.code == UNSUPPORTED] == [], (task, name)


def test_every_task_of_such_folders_serves_some_architecture() -> None:
    for task in TASKS.values():
        assert bool(served(task)) == bool(task.transformers.architectures), task.name
        assert set(served(task)) <= SERVED


QUANTIZED = [
    ({"quantization_config": {"quant_method": "awq", "bits": 4}}, ("awq, 4 bits", "`quantization_config`")),
    ({"quantization_config": {"quant_method": "gptq", "bits": 8}}, ("gptq, 8 bits", "full precision")),
    ({"quantization_config": {"load_in_4bit": True}}, ("bitsandbytes, 4 bits", "full precision")),
    ({"quantization_config": {"quant_method": "fp8"}}, ("fp8", "full precision")),
    ({"text_config": {"quantization_config": {"quant_method": "mxfp4"}}}, ("mxfp4", "`text_config.quant")),
    ({"compression_config": {"quant_method": "compressed-tensors"}}, ("compressed-tensors",)),
    ({"quantization_config": "odd"}, ("without a name",)),
]  # fmt: skip


@pytest.mark.parametrize(("config", "texts"), QUANTIZED)
def test_a_quantized_checkpoint_is_told_with_its_method(
    write: Write, config: dict[str, object], texts: tuple[str, ...]
) -> None:
    assert_refused(write(**config), (FORM, *texts))


@pytest.mark.parametrize(
    ("name", "method"), [("quantize_config.json", "gptq"), ("quant_config.json", "awq")]
)
def test_the_files_of_older_quantizing_tools_are_known(
    write: Write, name: str, method: str
) -> None:
    assert_refused(write({name: {"bits": 4}}), (FORM, method, name))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("weight", "F8_E4M3"), ("weight", "F8_E5M2"), ("h.0.qweight", "I32"), ("h.0.SCB", "F32")],
)
def test_quantized_weights_are_told_by_their_type_or_name(
    write: Write, name: str, kind: str
) -> None:
    folder = write()
    write_weights(folder / "model.safetensors", kind, name)
    assert_refused(folder, (FORM, "model.safetensors", f"{name} ({kind})", "full precision"))


def test_an_adapter_is_told_with_its_base_and_how_to_merge_it(tmp_path: Path, write: Write) -> None:
    settings = {"peft_type": "LORA", "base_model_name_or_path": "bert-base-uncased"}
    told = (FORM, "LORA adapter of bert-base-uncased", "merge_and_unload", "`source`")
    assert_refused(write({"adapter_config.json": settings}), told)  # beside weights of its own
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps(settings), "utf-8")
    write_weights(adapter / "adapter_model.safetensors")
    assert_refused(adapter, told)
    (adapter / "adapter_config.json").write_text("{", "utf-8")
    assert_refused(adapter, (FORM, "adapter of another model"))


def test_all_that_keeps_a_folder_from_being_built_is_told_at_once(write: Write) -> None:
    config = {"model_type": "longformer", "quantization_config": {"quant_method": "awq"}}
    folder = write(use_kernels=True, **config)
    (folder / "tokenizer.json").unlink()
    _, problems = inspect(folder, CLASSES, None)
    assert [problem.code for problem in problems] == [
        "file_missing",
        "code_refused",
        UNSUPPORTED,
        FORM,
    ]


@pytest.mark.slow
def test_a_refusal_takes_no_library_and_less_than_two_seconds(write: Write) -> None:
    folder = write(model_type="longformer", architectures=["LongformerForSequenceClassification"])
    table = f'source = "{folder}"\ntask = "text-classification"\neval = "rows.jsonl"\ncpu = {{}}'
    file = folder.parent / "models.toml"
    file.write_text(f"[models.one]\n{table}\n", "utf-8")
    (folder.parent / "rows.jsonl").write_text('{"text": "a", "label": "good"}\n' * 20, "utf-8")
    program = f"""
import sys
from turnout.cli import main
sys.argv = ["turnout", "build", "-c", {str(file)!r}, "-o", {str(folder.parent / "out")!r}]
try:
    main()
finally:
    print(sorted({{"torch", "transformers", "optimum", "onnx"}} & sys.modules.keys()))
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "longformer" in done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The processor's time, since the machine may do other things.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


def test_the_folder_that_these_tests_spoil_is_sound(write: Write) -> None:
    assert CONFIG["model_type"] in served(TASKS[CLASSES])
    source, problems = inspect(write(), CLASSES, None)
    assert source
    assert problems == []
