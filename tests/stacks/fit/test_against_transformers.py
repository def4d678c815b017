"""Shapes against transformers' own: every architecture made on torch's meta device, in sizes that a seed chooses."""

import random
from typing import Any

import pytest

from stacks.fit.architectures import ARCHITECTURES, read_shape
from stacks.fit.config import Config
from stacks.fit.weights import elements

pytestmark = pytest.mark.build

# Their classes come with each model's repository.
NOT_THERE = {"QWenLMHeadModel", "InternLM2ForCausalLM"}


def config_of(name: str, seed: int) -> Any:
    """Return a config of an architecture, small and of odd sizes."""
    import transformers

    draw = random.Random(f"{name} {seed}")
    kv_heads = draw.choice([1, 2, 4])
    heads = kv_heads * draw.choice([1, 2, 3])
    hidden = heads * draw.choice([8, 16])
    sizes = {
        "hidden_size": hidden,
        "intermediate_size": draw.choice([40, 72, 128]),
        "num_hidden_layers": draw.choice([2, 3, 5]),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": draw.choice([8, 16, 24]),
        "vocab_size": draw.choice([97, 128, 1000]),
        "tie_word_embeddings": draw.choice([True, False]),
        "attention_bias": draw.choice([True, False]),
        "num_local_experts": 4,
        "num_experts": 4,
        "n_routed_experts": 8,
        "n_group": 2,
        "topk_group": 1,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "shared_expert_intermediate_size": 48,
        "decoder_sparse_step": draw.choice([1, 2]),
        "first_k_dense_replace": 1,
        "q_lora_rank": draw.choice([12, None]),
        "kv_lora_rank": 20,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8,
        "v_head_dim": 12,
        "multi_query": draw.choice([True, False]),
        "new_decoder_architecture": draw.choice([True, False]),
        "num_kv_heads": kv_heads,
        "parallel_attn": draw.choice([True, False]),
        "bias": draw.choice([True, False]),
        "alibi": False,
        "pad_token_id": 0,
    }
    renamed = {"n_embd": hidden, "n_head": heads, "n_layer": sizes["num_hidden_layers"]}
    kind = getattr(transformers, name).config_class
    known = set(kind.attribute_map) | set(kind().to_dict())
    given = {key: value for key, value in (sizes | renamed).items() if key in known}
    return kind(architectures=[name], **given)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in NOT_THERE])
@pytest.mark.parametrize("seed", range(4))
def test_a_model_has_as_many_parameters_as_transformers_makes(name: str, seed: int) -> None:
    import torch
    import transformers

    config = config_of(name, seed)
    with torch.device("meta"):
        model = getattr(transformers, name)(config)
    counted = sum(parameter.numel() for parameter in model.parameters())
    # The bias by which DeepSeek's router evens out the loads of its experts is a buffer there.
    counted += sum(one.numel() for key, one in model.named_buffers() if "correction_bias" in key)
    assert elements(read_shape(Config(config.to_dict()))) == counted, config.to_dict()
