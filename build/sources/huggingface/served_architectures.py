"""The architectures of Hugging Face folders that are served, by task, and why each other kind is not.

An architecture is named as config.json names it, by `model_type`. Reading that takes no library, so what cannot be
built is told before anything is loaded.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from build.sources.huggingface.config import FILE
from build.sources.source import Unusable
from build.tasks.description import FamilyName, TaskDescription
from contracts.problems import Code, Problem
from contracts.tasks import Task

ENCODERS = (
    "albert",
    "bert",
    "camembert",
    "convbert",
    "data2vec-text",
    "deberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "esm",
    "flaubert",
    "ibert",
    "megatron-bert",
    "mobilebert",
    "modernbert",
    "mpnet",
    "nystromformer",
    "rembert",
    "roberta",
    "roformer",
    "splinter",
    "squeezebert",
    "xlm",
    "xlm-roberta",
)
DECODERS = ("gemma3_text", "gpt2", "llama", "mistral", "qwen2", "qwen3")
ENCODER_DECODERS = ("bart", "marian", "mt5", "t5")
# Architectures by the family of a task, and besides these by the task itself.
OF_FAMILY: Mapping[FamilyName, tuple[str, ...]] = {
    FamilyName.ENCODER: ENCODERS,
    FamilyName.CAUSAL: DECODERS,
    FamilyName.SCORER: DECODERS,
    FamilyName.SEQ2SEQ: ENCODER_DECODERS,
}
OF_TASK: Mapping[Task, tuple[str, ...]] = {
    Task.FEATURE_EXTRACTION: DECODERS,
    Task.TEXT_CLASSIFICATION: (*DECODERS, "bart"),
    Task.TEXT_RANKING: DECODERS,
    Task.ZERO_SHOT_CLASSIFICATION: ("bart",),
}

SERVED = {name for names in (*OF_FAMILY.values(), *OF_TASK.values()) for name in names}

# Why an architecture is not served, with patterns of its name; the first that fits is told.
KINDS: tuple[tuple[str, str], ...] = (
    (
        "has global attention on some tokens and sparse attention on the others, which is not served",
        "longformer led longt5 big_bird bigbird_pegasus mra yoso reformer",
    ),
    (
        "keeps a state in place of keys and values, which the cache of generated tokens does not hold",
        "*mamba* *rwkv* xlstm jamba bamba zamba* recurrent_gemma lfm2 lfm3 nemotron_h qwen3_next falcon_h1 *hybrid "
        "*_linear minimax",
    ),
    (
        "is a mixture of experts, each token running through some of its weights, which is not served",
        "*moe* mixtral switch_transformers dbrx deepseek_v[234]* gpt_oss llama4* minimax_m2 flex_olmo solar_open",
    ),
    (
        "reads images, where only texts are served",
        "vit* *_vit* swin* *convnext* resnet beit deit dino* detr *_detr* segformer mask*former yolos *depth* "
        "timm* efficientnet mobilenet* mobilevit* sam sam2* sam3* *backbone* imagegpt levit poolformer",
    ),
    (
        "reads or makes sound, where only texts are served",
        "wav2vec2* whisper hubert wavlm *audio* *speech* *_asr seamless* sew sew-d unispeech* encodec bark musicgen* "
        "moonshine* vits clap voxtral*",
    ),
    (
        "reads images or sound besides texts, where only texts are served",
        "*clip* siglip* blip* *vl *_vl_* *vlm *vision* *llava* align flava layoutlm* lilt markuplm idefics* paligemma "
        "gemma3 gemma3n* gemma4* pix2struct donut* *ocr* vilt visual_bert lxmert mllama pixtral mistral3 *omni* "
        "florence* perceiver udop *multimodal* qwen3_5* kimi_k25",
    ),
    (
        "has an encoder and a decoder in a form that is not served for this task",
        "bart mbart marian pegasus* m2m_100 nllb* blenderbot* fsmt *prophetnet plbart encoder-decoder umt5 "
        "t5gemma* rag t5 mt5",
    ),
    (
        "reads characters or bytes, without a tokenizer.json, which is not served",
        "canine byt5 blt",
    ),
)
# Parts of a config.json that only a model of more than texts has.
OTHER_INPUTS = ("vision_config", "audio_config", "image_token_id", "video_token_id")


def served(task: TaskDescription) -> tuple[str, ...]:
    """Return the architectures that are served for a task, sorted by name."""
    return tuple(sorted({*OF_FAMILY.get(task.family, ()), *OF_TASK.get(task.name, ())}))


def architecture_problem(config: Mapping[str, Any], task: TaskDescription) -> Problem | None:
    """Return the problem of an architecture, or of its head, that is not served for the task; None for one that is."""
    model_type, classes, heads = (
        config.get("model_type"),
        _classes(config),
        task.transformers.architectures,
    )
    if not isinstance(model_type, str) or not model_type:
        message = (
            f"{FILE} has no `model_type`, by which its architecture is known; save the model again"
        )
        return Problem(code=Code.ARCHITECTURE_UNSUPPORTED, message=message)
    known = served(task)
    if model_type in SERVED and not classes[0].endswith(heads):
        message = (
            f"its architecture is {classes[0]}, but {task.name} needs one that ends in {' or '.join(heads)}; "
            "correct `task`, or fine-tune a head for it"
        )
        return Problem(code=Code.TASK_UNSUPPORTED, message=message)
    if model_type in known:
        return _direction_problem(config, task) or _padding_problem(config, task, classes[0])
    message = (
        f"its architecture {model_type} ({', '.join(classes)}) {_why(config, model_type)}; {task.name} is served for "
        f"{', '.join(known)}; fine-tune one of these, or name an ONNX graph of the model as `source`"
    )
    return Problem(code=Code.ARCHITECTURE_UNSUPPORTED, message=message)


def _direction_problem(config: Mapping[str, Any], task: TaskDescription) -> Problem | None:
    """Return the problem of a decoder whose tokens see those behind them, where each is predicted of those before."""
    both = config.get("use_bidirectional_attention") is True or config.get("is_causal") is False
    if not both or OF_FAMILY.get(task.family) is not DECODERS:
        return None
    message = (
        f"its tokens see those behind them (`use_bidirectional_attention` or `is_causal` in {FILE}), so it predicts "
        f"none for {task.name}; use a causal model, or it for feature-extraction"
    )
    return Problem(code=Code.SETTING_UNSUPPORTED, message=message)


def _padding_problem(
    config: Mapping[str, Any], task: TaskDescription, named: str
) -> Problem | None:
    """Return the problem of a decoder with a classifier that does not know where a padded text ends."""
    reads_end = config.get("model_type") in DECODERS and named.endswith("ForSequenceClassification")
    if not reads_end or task.graph.pooled or config.get("pad_token_id") is not None:
        return None
    message = (
        f"{FILE} has no `pad_token_id`, without which transformers classifies one text at a time; set it to the id "
        "that its tokenizer pads with"
    )
    return Problem(code=Code.SETTING_INVALID, message=message)


def _classes(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the model's classes, of which transformers loads the first; raise Unusable for no list."""
    named = config.get("architectures") or ["none"]
    if not isinstance(named, list):
        raise Unusable(
            Code.FILE_DAMAGED,
            f"{FILE} has `architectures` that are no list; save the model again",
        )
    return list(map(str, named))


def _why(config: Mapping[str, Any], model_type: str) -> str:
    if "auto_map" in config:
        return "comes as code of its own, which is never run"
    if any(config.get(key) is not None for key in OTHER_INPUTS):
        return "reads images or sound besides texts, where only texts are served"
    for why, patterns in KINDS:
        if any(fnmatchcase(model_type, pattern) for pattern in patterns.split()):
            return why
    if model_type in SERVED:
        return "is served for other tasks, and not for this one"
    return "is not one that is served"
