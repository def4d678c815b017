"""The architectures whose memory can be computed, each with how its config.json is read into a shape."""

from collections import Counter
from collections.abc import Callable
from functools import partial

from contracts.problems import Code
from stacks.fit.config import Config
from stacks.fit.shape import Attention, FeedForward, LatentAttention, Layer, Shape
from stacks.fit.windows import check_hybrid, context, windows

HIDDEN = ("hidden_size", "n_embd", "n_embed")
HEADS = ("num_attention_heads", "n_head")


def read_shape(config: Config) -> Shape:
    """Return the shape of a model; raise Unsized, which lists every setting that is missing or wrong."""
    check_hybrid(config)
    names = config.words("architectures")
    known = next((name for name in names if name in ARCHITECTURES), "")
    if not known:
        config.refuse(
            "architectures",
            f"has {', '.join(names) or 'none'}, whose memory cannot be computed; known are {', '.join(ARCHITECTURES)}",
            Code.ARCHITECTURE_UNSUPPORTED,
        )
    config.check()
    shape = ARCHITECTURES[known](config)
    config.check()
    return shape


def _attention(config: Config, *, qkv_bias: bool, out_bias: bool, joined: bool) -> Attention:
    heads, hidden = config.whole(*HEADS), config.whole(*HIDDEN)
    kv_heads = config.whole("num_key_value_heads", default=heads)
    if heads % kv_heads:
        config.refuse("num_key_value_heads", f"is {kv_heads}, which does not divide {heads} heads")
    return Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=config.whole("head_dim", "kv_channels", default=max(1, hidden // heads)),
        qkv_bias=qkv_bias,
        out_bias=out_bias,
        joined=joined,
    )


def _shape(
    config: Config,
    attention: Attention | LatentAttention,
    feed_forward: Callable[[int], FeedForward],
    *,
    norms: int,
    last: int,
    tied: bool = False,
    slides: Callable[[int], bool] = lambda i: True,
    opt_in: bool = False,
    positions: int = 0,
    head_bias: bool = False,
) -> Shape:
    """Return a shape whose layers have one attention; `norms` are the elements of a layer's, `last` of the others."""
    count = config.whole("num_hidden_layers", "n_layer")
    layers = Counter(
        Layer(attention=attention, feed_forward=feed_forward(i), vectors=norms, window=window)
        for i, window in enumerate(windows(config, count, slides, opt_in=opt_in))
    )
    return Shape(
        hidden=config.whole(*HIDDEN),
        vocabulary=config.whole("vocab_size"),
        layers=tuple(layers.items()),
        vectors=last,
        context=context(config),
        tied=config.flag("tie_word_embeddings", default=tied),
        positions=positions,
        head_bias=head_bias,
    )


def _gated(
    config: Config,
    *,
    norms: int = 2,
    last: int = 1,
    head_norms: bool = False,
    wide_norms: bool = False,
    qkv_bias: bool | None = None,
    joined: bool = False,
    joined_gate: bool = False,
    width_of: int = 1,
    experts: Callable[[Config], FeedForward] | None = None,
    tied: bool = False,
    slides: Callable[[int], bool] = lambda i: True,
    opt_in: bool = False,
) -> Shape:
    """Return the shape of Llama and its kin: a gated feed-forward part, and norms that have no bias.

    `norms` are those of a layer as wide as the model, `last` those after the layers. `head_norms` are two more as wide
    as a head, `wide_norms` as wide as all queries and all keys. `width_of` parts of the feed-forward part are counted
    in its width. `qkv_bias` is fixed in some architectures.
    """
    hidden, bias = config.whole(*HIDDEN), config.flag("attention_bias", "bias")
    qkv = bias if qkv_bias is None else qkv_bias
    attention = _attention(
        config, qkv_bias=qkv, out_bias=bias if qkv_bias is None else False, joined=joined
    )
    each = 2 * attention.head_dim * head_norms
    each += (attention.heads + attention.kv_heads) * attention.head_dim * wide_norms
    width = max(1, config.whole("intermediate_size") // width_of)
    dense = FeedForward(width=width, bias=config.flag("mlp_bias"), joined=joined_gate)
    choose = _sparse(config, dense, experts(config)) if experts else lambda i: dense
    return _shape(
        config,
        attention,
        choose,
        norms=norms * hidden + each,
        last=last * hidden,
        tied=tied,
        slides=slides,
        opt_in=opt_in,
    )


def _sparse(
    config: Config, dense: FeedForward, experts: FeedForward
) -> Callable[[int], FeedForward]:
    """Return the feed-forward part of each layer, of which some may have no experts, under the keys of Qwen."""
    step = config.whole("decoder_sparse_step", default=1)
    only_dense = config.numbers("mlp_only_layers")
    return lambda i: dense if i in only_dense or (i + 1) % step else experts


def _mixtral_experts(config: Config) -> FeedForward:
    return FeedForward(
        width=config.whole("intermediate_size"),
        experts=config.whole("num_local_experts"),
        chosen=config.whole("num_experts_per_tok"),
    )


def _qwen3_experts(config: Config) -> FeedForward:
    return FeedForward(
        width=config.whole("moe_intermediate_size"),
        experts=config.whole("num_experts", "num_local_experts"),
        chosen=config.whole("num_experts_per_tok"),
    )


def _qwen2_experts(config: Config) -> FeedForward:
    return FeedForward(
        width=config.whole("moe_intermediate_size"),
        experts=config.whole("num_experts"),
        chosen=config.whole("num_experts_per_tok"),
        shared=config.whole("shared_expert_intermediate_size"),
        shared_gate=True,
    )


def _qwen(config: Config) -> Shape:
    first = config.whole("max_window_layers", default=0, minimum=0)
    return _gated(config, qkv_bias=True, opt_in=True, slides=lambda i: i >= first)


def _qwen3(config: Config) -> Shape:
    first = config.whole("max_window_layers", default=0, minimum=0)
    return _gated(config, head_norms=True, opt_in=True, slides=lambda i: i >= first)


def _gemma3(config: Config) -> Shape:
    pattern = config.whole("sliding_window_pattern", default=6)
    return _gated(
        config, norms=4, head_norms=True, tied=True, slides=lambda i: bool((i + 1) % pattern)
    )


def _biased(
    config: Config,
    *,
    norms: int = 2,
    last: int = 1,
    tied: bool = False,
    head_bias: bool = False,
    joined: bool = True,
    positions: bool = False,
) -> Shape:
    """Return the shape of GPT-2 and its kin: every matrix and every norm has a bias, and nothing is gated."""
    hidden = config.whole(*HIDDEN)
    bias = config.flag("attention_bias", default=True)
    width = config.whole("intermediate_size", "n_inner", default=4 * hidden)
    feed_forward = FeedForward(width=width, gated=False, bias=True)
    return _shape(
        config,
        _attention(config, qkv_bias=bias, out_bias=bias, joined=joined),
        lambda i: feed_forward,
        norms=2 * norms * hidden,
        last=2 * last * hidden,
        tied=tied,
        positions=config.whole("n_positions") if positions else 0,
        head_bias=head_bias,
    )


def _falcon(config: Config) -> Shape:
    hidden, heads = config.whole(*HIDDEN), config.whole(*HEADS)
    new, bias = config.flag("new_decoder_architecture"), config.flag("bias")
    one = 1 if config.flag("multi_query", default=True) else heads
    attention = Attention(
        heads=heads,
        kv_heads=config.whole("num_kv_heads", "n_head_kv", default=heads) if new else one,
        head_dim=max(1, hidden // heads),
        qkv_bias=bias,
        out_bias=bias,
        joined=True,
    )
    two = new or not config.flag("parallel_attn", default=True)
    norms = config.whole("num_ln_in_parallel_attn", default=2 if two else 1)
    width = config.whole("ffn_hidden_size", default=4 * hidden)
    feed_forward = FeedForward(width=width, gated=False, bias=bias)
    return _shape(
        config,
        attention,
        lambda i: feed_forward,
        norms=2 * norms * hidden,
        last=2 * hidden,
        tied=True,
    )


def _deepseek(config: Config, *, router_bias: bool) -> Shape:
    hidden, width = config.whole(*HIDDEN), config.whole("moe_intermediate_size")
    attention = LatentAttention(
        heads=config.whole("num_attention_heads"),
        query_rank=config.whole("q_lora_rank", default=0),
        kv_rank=config.whole("kv_lora_rank"),
        nope_dim=config.whole("qk_nope_head_dim"),
        rope_dim=config.whole("qk_rope_head_dim"),
        value_dim=config.whole("v_head_dim"),
        bias=config.flag("attention_bias"),
    )
    experts = FeedForward(
        width=width,
        experts=config.whole("n_routed_experts"),
        chosen=config.whole("num_experts_per_tok"),
        shared=width * config.whole("n_shared_experts", default=0, minimum=0),
        router_bias=router_bias,
    )
    dense = FeedForward(width=config.whole("intermediate_size"))
    first = config.whole("first_k_dense_replace", default=0, minimum=0)
    step = config.whole("moe_layer_freq", default=1)
    return _shape(
        config,
        attention,
        lambda i: experts if i >= first and i % step == 0 else dense,
        norms=2 * hidden + attention.query_rank + attention.kv_rank,
        last=hidden,
    )


# The names that config.json has under `architectures`, which are those of vLLM's registry as well.
ARCHITECTURES: dict[str, Callable[[Config], Shape]] = {
    "LlamaForCausalLM": _gated,
    "MistralForCausalLM": _gated,
    "GraniteForCausalLM": _gated,
    "InternLM2ForCausalLM": partial(_gated, joined=True),
    "Qwen2ForCausalLM": _qwen,
    "Qwen3ForCausalLM": _qwen3,
    "QWenLMHeadModel": partial(_gated, qkv_bias=True, joined=True, width_of=2),
    "GemmaForCausalLM": partial(_gated, tied=True),
    "Gemma2ForCausalLM": partial(_gated, norms=4, tied=True, slides=lambda i: i % 2 == 0),
    "Gemma3ForCausalLM": _gemma3,
    "Phi3ForCausalLM": partial(_gated, joined=True, joined_gate=True),
    "OlmoForCausalLM": partial(_gated, norms=0, last=0),
    "Olmo2ForCausalLM": partial(_gated, wide_norms=True),
    "MixtralForCausalLM": partial(_gated, experts=_mixtral_experts),
    "GraniteMoeForCausalLM": partial(_gated, experts=_mixtral_experts),
    "Qwen2MoeForCausalLM": partial(_gated, qkv_bias=True, experts=_qwen2_experts, opt_in=True),
    "Qwen3MoeForCausalLM": partial(_gated, head_norms=True, experts=_qwen3_experts, opt_in=True),
    "DeepseekV2ForCausalLM": partial(_deepseek, router_bias=False),
    "DeepseekV3ForCausalLM": partial(_deepseek, router_bias=True),
    "GPT2LMHeadModel": partial(_biased, tied=True, positions=True),
    "GPTNeoXForCausalLM": _biased,
    "PhiForCausalLM": partial(_biased, norms=1, head_bias=True, joined=False),
    "BloomForCausalLM": partial(_biased, last=2, tied=True),
    "FalconForCausalLM": _falcon,
}
