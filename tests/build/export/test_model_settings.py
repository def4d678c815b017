"""A setting of config.json that decides what a model computes is in its graphs, exported and fused."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build.export.fusion import FUSED, PLAIN
from build.families.registry import family_of
from build.sources.huggingface.settings.setting import GRAPH
from build.sources.huggingface.settings.table import CONFIG, TABLE
from build.sources.source import TransformersSource
from build.workspace.quiet import quiet
from contracts.tasks import Task
from functions.inference.session import open_session
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import texts
from tests.fixtures.models.tiny_zoo import ZOO, Architecture, classifier_of

# Of two to ten words: longer than some layers look back.
TEXTS = texts(12)[6:]
OTHERS = {
    "ConvBert": Architecture(
        name="ConvBert", attention="", config={"embedding_size": 16, "conv_kernel_size": 3}
    ),
    "SqueezeBert": Architecture(name="SqueezeBert", attention="", config={"embedding_size": 32}),
}
ARCHITECTURES: Mapping[str, Architecture] = {**{one.name: one for one in ZOO}, **OTHERS}
TURNED = {"rope_theta": 50.0, "rope_type": "default"}
# For each key, an architecture that has it, and a value besides its default.
CASES: Mapping[str, tuple[str, Any]] = {
    "hidden_size": ("Bert", 24),
    "intermediate_size": ("Bert", 40),
    "num_hidden_layers": ("Bert", 1),
    "num_attention_heads": ("Bert", 2),
    "hidden_act": ("Bert", "relu"),
    "layer_norm_eps": ("Bert", 0.5),
    "type_vocab_size": ("Bert", 3),
    "dim": ("DistilBert", 24),
    "hidden_dim": ("DistilBert", 40),
    "n_layers": ("DistilBert", 1),
    "n_heads": ("DistilBert", 2),
    "activation": ("DistilBert", "relu"),
    "embedding_size": ("Electra", 8),
    "num_hidden_groups": ("Albert", 2),
    "inner_group_num": ("Albert", 2),
    "relative_attention_num_buckets": ("MPNet", 40),
    "rotary_value": ("RoFormer", True),
    "relative_attention": ("DebertaV2", False),
    "position_buckets": ("DebertaV2", 4),
    "max_relative_positions": ("DebertaV2", 4),
    "pos_att_type": ("DebertaV2", ["p2c"]),
    "share_att_key": ("DebertaV2", False),
    "norm_rel_ebd": ("DebertaV2", "none"),
    "position_biased_input": ("DebertaV2", True),
    "pooler_hidden_act": ("DebertaV2", "tanh"),
    "local_attention": ("ModernBert", 4),
    "layer_types": ("ModernBert", ["sliding_attention", "sliding_attention"]),
    "rope_parameters": ("ModernBert", {"full_attention": TURNED, "sliding_attention": TURNED}),
    "hidden_activation": ("ModernBert", "relu"),
    "norm_eps": ("ModernBert", 0.5),
    "norm_bias": ("ModernBert", True),
    "attention_bias": ("ModernBert", True),
    "mlp_bias": ("ModernBert", True),
    "classifier_bias": ("ModernBert", True),
    "classifier_pooling": ("ModernBert", "mean"),
    "classifier_activation": ("ModernBert", "relu"),
    "head_ratio": ("ConvBert", 4),
    "num_groups": ("ConvBert", 2),
    "conv_kernel_size": ("ConvBert", 5),
    "q_groups": ("SqueezeBert", 2),
    "output_groups": ("SqueezeBert", 2),
}
# The other name of a key, which the shape of these tiny models is given by.
SAME = {"dim": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads"}
# Keys of decoders, of heads, of older releases or of architectures that are rarely met: no case flips them yet.
UNTRIED = """
    d_model n_embd input_embedding_size output_embedding_size d_ff n_inner d_kv head_dim true_hidden_size
    intra_bottleneck_size emb_dim n_layer num_layers num_decoder_layers num_feedforward_networks n_head num_heads
    num_key_value_heads activation_function feed_forward_proj dense_act_fn is_gated_act gelu_activation
    layer_norm_epsilon rms_norm_eps normalization_type pre_norm emb_layer_norm_before rope_theta rope_scaling
    local_rope_theta global_rope_theta sinusoidal_pos_embds sinusoidal_embeddings relative_attention_max_distance
    partial_rotary_factor sliding_window use_sliding_window max_window_layers global_attn_every_n_layers num_landmarks
    segment_means_seq_len inv_coeff_init_option scale_attn_weights scale_attn_by_inverse_layer_idx
    scale_decoder_outputs decoder_bias qkv_bias tie_word_embeddings pooler_hidden_size summary_type summary_activation
    summary_use_proj
    summary_proj_to_labels trigram_input use_bottleneck use_bottleneck_attention key_query_shared_bottleneck
    use_lang_emb n_langs asm token_dropout legacy k_groups v_groups post_attention_groups intermediate_groups conv_act
    conv_bias sliding_window_pattern _sliding_window_pattern use_bidirectional_attention is_causal rope_local_base_freq
    query_pre_attn_scalar final_logit_softcapping
""".split()


def logits_of(folder: Path) -> Any:
    """Return transformers' own logits of each text, alone; None where it cannot load the folder."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        with quiet():
            model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    except Exception:  # weights of other sizes than config.json has
        return None
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return np.stack(
            [model(**tokenizer(text, return_tensors="pt")).logits[0].numpy() for text in TEXTS]
        )


def _move_biases(folder: Path) -> None:
    """Give every bias numbers, which are zeros where training starts, so that one that is lost is missed."""
    import torch
    from transformers import AutoModelForSequenceClassification

    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(folder)
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder)


def test_every_setting_of_a_graph_has_a_case_or_is_listed_without() -> None:
    of_graph = {setting.key for setting in TABLE[CONFIG] if setting.read_by == GRAPH}
    assert of_graph == CASES.keys() | set(UNTRIED)
    assert not CASES.keys() & set(UNTRIED)


@pytest.mark.exhaustive(keep=2)
@pytest.mark.parametrize("key", CASES)
def test_a_graph_has_the_setting_as_transformers_has_it(tmp_path: Path, key: str) -> None:
    name, value = CASES[key]
    one = ARCHITECTURES[name]
    folder = classifier_of(
        tmp_path / "source",
        replace(
            one, config={**one.config, key: value, **({SAME[key]: value} if key in SAME else {})}
        ),
    )
    _move_biases(folder)
    wanted = logits_of(folder)
    # The setting counts: transformers itself answers otherwise, or not at all, without it.
    plain = shutil.copytree(folder, tmp_path / "plain")
    config = json.loads((plain / "config.json").read_text("utf-8"))
    base = {
        **one.config,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    config[key] = base.get(key)
    (plain / "config.json").write_text(
        json.dumps({k: v for k, v in config.items() if v is not None}), "utf-8"
    )
    other = logits_of(plain)
    assert other is None or np.abs(other - wanted).max() > 1e-3
    source = read_as(TransformersSource, folder, Task.TEXT_CLASSIFICATION)
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    family_of(source).prepare(source, prepared, lambda text: None)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    for graph in (PLAIN, FUSED):
        session = open_session(prepared / graph, threads=1, device="cpu")
        names = [node.name for node in session.get_inputs()]
        for text, right in zip(TEXTS, wanted, strict=True):
            encoded = tokenizer(text, return_tensors="np", return_token_type_ids=True)
            feeds = {name: encoded[name].astype(np.int64) for name in names}
            np.testing.assert_allclose(session.run(None, feeds)[0][0], right, atol=2e-4)
