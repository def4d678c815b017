"""For each setting of config.json that is in a graph: a tiny model, and a value that changes its answers."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from build.workspace.quiet import quiet
from contracts.tasks import Task
from tests.fixtures.models.tiny_bert import POSITIONS, texts
from tests.fixtures.models.tiny_decoders import PROMPTS, t5
from tests.fixtures.models.tiny_zoo import SHAPE, ZOO, Architecture, classifier_of, masked_of

Settings = Mapping[str, Any]
CLASSES, MASKS, WRITING = Task.TEXT_CLASSIFICATION, Task.FILL_MASK, Task.TEXT2TEXT_GENERATION
ENDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "num_key_value_heads": 4}
WINDOW = {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}
XLM = {"n_layers": 2, "n_heads": 4, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
ESM = {"pad_token_id": 0, "mask_token_id": 4, "position_embedding_type": "rotary"}
NARROW = {"embedding_size": 16, "intra_bottleneck_size": 16, "num_feedforward_networks": 2}
RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
OTHERS: Mapping[str, Mapping[str, Any]] = {
    "ConvBert": {"embedding_size": 16, "conv_kernel_size": 3},
    "Deberta": RELATIVE,
    "Esm": ESM,
    "Flaubert": XLM,
    "Gemma3Text": {**ENDS, "head_dim": 8, "sliding_window": 3, "query_pre_attn_scalar": 8},
    "GPT2": {"pad_token_id": 0, "n_positions": POSITIONS},
    "Llama": ENDS,
    "Mistral": ENDS,
    "MobileBert": NARROW,
    "Nystromformer": {},
    "Qwen2": {**ENDS, **WINDOW},
    "RemBert": {"input_embedding_size": 16, "output_embedding_size": 24},
    "SqueezeBert": {"embedding_size": 32},
    "XLM": XLM,
}
TYPED = ("ConvBert", "Deberta", "MobileBert", "Nystromformer", "RemBert", "SqueezeBert")
ARCHITECTURES: Mapping[str, Architecture] = {
    **{one.name: one for one in ZOO},
    **{
        name: Architecture(name=name, attention="", config=dict(config), types=name in TYPED)
        for name, config in OTHERS.items()
    },
}
TURNED = {"rope_theta": 50.0, "rope_type": "default"}
LINEAR = {"type": "linear", "factor": 8.0}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 50.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}
DERIVED = {"dense_act_fn": None, "is_gated_act": None}
GROUPED: Settings = dict.fromkeys(
    (f"{part}_groups" for part in ("q", "k", "v", "post_attention", "intermediate", "output")), 2
)
# Older releases wrote other keys in place of these.
OLDER: Settings = {"rope_parameters": None, "layer_types": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A tiny model with a value of a key, and without it another answer, or none, of its library.

    `others` go into the model's config with it; `written` are keys as config.json then has them, where None takes one
    out. `plain` is the value that counts as without it, where that is none of the architecture's.
    """

    model: str
    key: str
    value: Any
    others: Settings = field(default_factory=dict)
    written: Settings = field(default_factory=dict)
    plain: Any = None
    task: Task = CLASSES

    def make(self, folder: Path) -> Path:
        """Return a source folder in which the key has the value."""
        settings = {**self.others, self.key: self.value}
        if self.task is WRITING:
            t5(folder, **settings)
        else:
            one = ARCHITECTURES[self.model]
            made_of = masked_of if self.task is MASKS else classifier_of
            made_of(folder, replace(one, config={**one.config, **_shape(settings), **settings}))
            _move_biases(folder, self.task)
        return change(folder, **{self.key: self.value, **self.written})

    @property
    def other(self) -> Any:
        """Return the value that the key has otherwise; None where it is then absent."""
        known = {} if self.task is WRITING else {**SHAPE, **ARCHITECTURES[self.model].config}
        return known.get(self.key, self.plain)

    def without(self, folder: Path, destination: Path) -> Path:
        """Return a copy of such a folder in which the key has not that value."""
        copy = Path(shutil.copytree(folder, destination))
        return change(copy, **{self.key: self.other})

    @property
    def texts(self) -> list[str]:
        """Return texts on which the key shows: some are longer than some layers look back."""
        if self.task is WRITING:
            return list(PROMPTS)
        found = texts(12)[6:]
        return [f"{text} [MASK]" for text in found] if self.task is MASKS else found


def _shape(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under the other name by which the shape of these tiny models is given."""
    return {other: settings[key] for key, other in SAME.items() if key in settings}


SAME = {
    "dim": "hidden_size",
    "encoder_attention_heads": "num_attention_heads",
    "encoder_layers": "num_hidden_layers",
    "emb_dim": "hidden_size",
    "n_embd": "hidden_size",
    "n_head": "num_attention_heads",
    "n_heads": "num_attention_heads",
    "n_layer": "num_hidden_layers",
    "n_layers": "num_hidden_layers",
}


def change(folder: Path, **settings: Any) -> Path:
    """Change keys of a folder's config.json, and return it; None takes a key out."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text("utf-8")), **settings}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}), "utf-8")
    return folder


AUTO = {
    CLASSES: "AutoModelForSequenceClassification",
    MASKS: "AutoModelForMaskedLM",
    WRITING: "AutoModelForSeq2SeqLM",
}


def library_model(folder: Path, task: Task) -> Any:
    """Return the folder's model by transformers, with the head of the task."""
    import transformers

    with quiet():
        return getattr(transformers, AUTO[task]).from_pretrained(folder).eval()


def _move_biases(folder: Path, task: Task) -> None:
    """Give every bias numbers, which are zeros where training starts, so that one that is lost is missed."""
    import torch

    model = library_model(folder, task)
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder)


NOTHING: Settings = {}


def _cases(
    model: str,
    task: Task = CLASSES,
    others: Settings = NOTHING,
    written: Settings = NOTHING,
    **values: Any,
) -> list[Case]:
    return [
        Case(model=model, key=key, value=value, others=others, written=written, task=task)
        for key, value in values.items()
    ]


ALL: tuple[Case, ...] = (
    *_cases(
        "Bert",
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=1,
        num_attention_heads=2,
        hidden_act="relu",
        layer_norm_eps=0.5,
        type_vocab_size=3,
    ),
    *_cases("DistilBert", dim=24, hidden_dim=40, n_layers=1, n_heads=2, activation="relu"),
    *_cases("Electra", embedding_size=8),
    *_cases("Albert", num_hidden_groups=2, inner_group_num=2),
    *_cases("MPNet", relative_attention_num_buckets=40),
    *_cases("RoFormer", rotary_value=True),
    *_cases("Bart", encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=40),
    *_cases("Bart", decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=40),
    *_cases("Bart", scale_embedding=False),
    *_cases(
        "DebertaV2",
        relative_attention=False,
        position_buckets=4,
        max_relative_positions=4,
        pos_att_type=["p2c"],
        share_att_key=False,
        norm_rel_ebd="none",
        position_biased_input=True,
        pooler_hidden_act="tanh",
    ),
    *_cases("DebertaV2", task=MASKS, legacy=False),
    *_cases("DebertaV2", others={"conv_kernel_size": 3}, conv_act="relu", conv_groups=4),
    *_cases("Deberta", talking_head=True),
    *_cases(
        "ModernBert",
        local_attention=4,
        layer_types=["sliding_attention", "sliding_attention"],
        rope_parameters={"full_attention": TURNED, "sliding_attention": TURNED},
        hidden_activation="relu",
        norm_eps=0.5,
        norm_bias=True,
        attention_bias=True,
        mlp_bias=True,
        classifier_bias=True,
        classifier_pooling="mean",
        classifier_activation="relu",
    ),
    Case(model="ModernBert", key="decoder_bias", value=True, plain=False, task=MASKS),
    *_cases(
        "ModernBert",
        written=OLDER,
        global_attn_every_n_layers=1,
        local_rope_theta=50.0,
        global_rope_theta=50.0,
    ),
    *_cases("ConvBert", head_ratio=4, num_groups=2, conv_kernel_size=5),
    *_cases("SqueezeBert", **GROUPED),
    *_cases(
        "MobileBert",
        intra_bottleneck_size=8,
        num_feedforward_networks=3,
        normalization_type="layer_norm",
        trigram_input=False,
        use_bottleneck=False,
        use_bottleneck_attention=True,
    ),
    *_cases("MobileBert", others={"intra_bottleneck_size": 32}, key_query_shared_bottleneck=False),
    *_cases("RemBert", input_embedding_size=8),
    *_cases("RemBert", task=MASKS, output_embedding_size=16),
    Case(model="Bert", key="tie_word_embeddings", value=True, plain=False, task=MASKS),
    *_cases("Esm", emb_layer_norm_before=True),
    *_cases("Esm", task=MASKS, token_dropout=True),
    *_cases("Esm", task=MASKS, others={"token_dropout": True}, mask_token_id=6),
    *_cases(
        "Flaubert",
        emb_dim=24,
        gelu_activation=False,
        summary_type="last",
        summary_activation="tanh",
    ),
    *_cases("Flaubert", others={"emb_dim": 3, "n_heads": 1}, summary_use_proj=False),
    Case(model="XLM", key="summary_proj_to_labels", value=True, plain=False),
    *_cases(
        "GPT2",
        n_embd=24,
        n_head=2,
        n_layer=1,
        n_inner=40,
        activation_function="relu",
        layer_norm_epsilon=0.5,
        scale_attn_weights=False,
        scale_attn_by_inverse_layer_idx=True,
    ),
    *_cases("Llama", num_key_value_heads=2, head_dim=16, rms_norm_eps=0.5),
    *_cases("Llama", written=OLDER, rope_theta=50.0, rope_scaling=LINEAR),
    *_cases("Llama", written={"rope_parameters": LLAMA3}, original_max_position_embeddings=4),
    *_cases("Gemma3Text", query_pre_attn_scalar=64),
    *_cases("Gemma3Text", written=OLDER, rope_local_base_freq=50.0, sliding_window_pattern=1),
    *_cases("Mistral", sliding_window=3),
    *_cases("Qwen2", written={**OLDER, "sliding_window": 3}, use_sliding_window=False),
    *_cases("Qwen2", written=OLDER, max_window_layers=0),
    *_cases("T5", task=WRITING, written=DERIVED, feed_forward_proj="gated-gelu"),
    *_cases(
        "T5",
        task=WRITING,
        d_model=48,
        d_ff=40,
        d_kv=4,
        num_layers=1,
        num_decoder_layers=1,
        num_heads=2,
        dense_act_fn="silu",
        is_gated_act=True,
        relative_attention_max_distance=5,
        scale_decoder_outputs=False,
    ),
)
CASES: Mapping[str, Case] = {case.key: case for case in ALL}
