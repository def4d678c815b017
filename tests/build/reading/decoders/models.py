"""Tiny models of Qwen3 and Gemma 3 with random weights, in the files that they are published with."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CONTEXT = 48
PAD, START, END, YES, NO = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "yes", "no"
LINES = (
    "The train turned out at the turnout, and the signal fell.",
    "A station, a switch, a signal: the night train is late again.",
    "Größe, naïve café, 東京 and 🚆 are words of more than one byte.",
    "yes", "no", "yes", "no",
)  # fmt: skip
TEXTS = (
    "The train",
    "A station, a switch",
    "🚆 to 東京",
    "late again late again late again late again late again",
    "Größe\n\n",
    "x",
    "The signal fell. The signal rose. The signal",
    "The night train is late again, and the switch at the station turned out to be a signal.",
)
SMALL: Mapping[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
WINDOWS: Mapping[str, Any] = {"sliding_window": 8, "sliding_window_pattern": 2}


def qwen3(
    folder: Path, head: str = "Qwen3ForCausalLM", *, around: str = "$A", **config: Any
) -> Path:
    import transformers

    words = tokenizer(folder, around)
    settings = transformers.Qwen3Config(**{"vocab_size": words, **SMALL, **config})
    return saved(getattr(transformers, head), settings, folder)


def gemma3(
    folder: Path, head: str = "Gemma3ForCausalLM", *, around: str = "$A", **config: Any
) -> Path:
    """Save a model of a layer that sees 8 tokens and one that sees all."""
    import transformers

    words = tokenizer(folder, around)
    made = {"vocab_size": words, **SMALL, **WINDOWS, "query_pre_attn_scalar": 24, **config}
    return saved(getattr(transformers, head), transformers.Gemma3TextConfig(**made), folder)


def saved(kind: Any, config: Any, folder: Path) -> Path:
    import torch

    torch.manual_seed(5)
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # The weights that training starts with tell no two texts apart; norms start where they do nothing.
            scale = 0.4 if parameter.dim() > 1 else 0.2
            parameter.add_(torch.randn_like(parameter) * scale)
    model.save_pretrained(folder)
    return folder


def tokenizer(folder: Path, around: str = "$A", **settings: Any) -> int:
    """Save a byte-level tokenizer that puts `around` around a text; return the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(LINES * 4, trainer)
    if around != "$A":
        made.post_processor = processors.TemplateProcessing(
            single=around, special_tokens=[(PAD, 0), (END, 2)]
        )
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": CONTEXT,
            "pad_token": PAD,
            "eos_token": END,
            "padding_side": "left",
            **settings,
        },
    )
    return made.get_vocab_size()


def write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), "utf-8")


def change(path: Path, **settings: Any) -> None:
    before = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    write(path, {**before, **settings})


def with_modules(folder: Path, *modules: tuple[str, Mapping[str, Any]]) -> Path:
    """Write modules.json with a Transformer and those modules, each with its config."""
    listed = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
    ]
    for number, (kind, config) in enumerate(modules, 1):
        place = f"{number}_{kind}"
        where = "cross_encoder.modules.logit_score" if kind == "LogitScore" else "models"
        entry = {"idx": number, "name": str(number), "path": place}
        listed.append({**entry, "type": f"sentence_transformers.{where}.{kind}"})
        write(folder / place / "config.json", config)
    write(folder / "modules.json", listed)
    return folder


def pooled(mode: str) -> tuple[str, Mapping[str, Any]]:
    return "Pooling", {
        "word_embedding_dimension": 64,
        f"pooling_mode_{mode}": True,
        "include_prompt": True,
    }


NORMALIZE: tuple[str, Mapping[str, Any]] = ("Normalize", {})


def dense(folder: Path, number: int, inputs: int, outputs: int) -> tuple[str, Mapping[str, Any]]:
    """Write the weights of a layer as EmbeddingGemma has them: without a bias and an activation."""
    import numpy as np
    from safetensors.numpy import save_file

    place = folder / f"{number}_Dense"
    place.mkdir(parents=True)
    matrix = np.random.default_rng(number).normal(size=(outputs, inputs)).astype(np.float32)
    save_file({"linear.weight": matrix}, place / "model.safetensors")
    return "Dense", {
        "in_features": inputs,
        "out_features": outputs,
        "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
    }


RERANK_TEMPLATE = """\
{%- set task = messages | selectattr("role", "eq", "system") | map(attribute="content") | first | \
default("Find passages.") -%}
<|im_start|>system
Judge the Document: answer "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {{ task }}
<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}
<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}<|im_end|>
{% if add_generation_prompt %}
<|im_start|>assistant
<think>

</think>

{% endif %}"""
# The template of Qwen3's chat models, which knows no query, in short.
CHAT_TEMPLATE = """\
{%- for message in messages %}
    {%- if message.role == "user" or message.role == "system" %}
        {{- "<|im_start|>" + message.role + "\\n" + message.content + "<|im_end|>" + "\\n" }}
    {%- endif %}
{%- endfor %}"""


def reranker(
    folder: Path,
    *,
    template: str = RERANK_TEMPLATE,
    tokens: Mapping[str, Any] | None = None,
    context: int = 320,
    **config: Any,
) -> Path:
    """Save a causal reranker with the files that sentence-transformers 5.4 and later saves."""
    qwen3(folder, **{"max_position_embeddings": context, **config})
    change(folder / "tokenizer_config.json", model_max_length=context)
    (folder / "chat_template.jinja").write_text(template, "utf-8")
    ids = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    score = {"true_token_id": ids[YES], "false_token_id": ids[NO]} if tokens is None else tokens
    with_modules(folder, ("LogitScore", score))
    logits = {"method": "forward", "method_output_name": "logits"}
    write(
        folder / "sentence_bert_config.json",
        {
            "transformer_task": "text-generation",
            "modality_config": {"text": logits, "message": {**logits, "format": "flat"}},
            "module_output_name": "causal_logits",
            "processing_kwargs": {"chat_template": {"add_generation_prompt": True}},
        },
    )
    write(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "CrossEncoder",
            "prompts": {"code": "Find code.", "web": "Given a web search query, find passages."},
            "default_prompt_name": "web",
            "activation_fn": "torch.nn.modules.activation.Sigmoid",
        },
    )
    return folder


def ranked(texts: Sequence[str], *more: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return rows of a query with texts to rank."""
    rows = [
        {"query": query, "texts": [*texts[i:], *texts[:i]][:4], "label": 0}
        for i, query in enumerate(texts)
    ]
    return [*rows, *({**rows[0], **each} for each in more)]
