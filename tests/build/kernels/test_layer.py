"""The operator computes a layer as float64 does, to 8 bits, whatever its shape, its padding and its neighbours."""

import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build.kernels.libraries import libraries
from build.recipes.encoder_layers.matching import Activation
from tests.build.kernels.layers import (
    KERNELS,
    Array,
    Layer,
    in_process,
    inputs,
    opened,
    positions_of,
    run,
    runs,
)

pytestmark = pytest.mark.foreign
LAYER = Layer.drawn(heads=3, head=32, inner=208, seed=1)
# The root mean square of what 8 bits change, as a share of the answer's: twice the largest of 400 drawn layers.
TOLERANCE = 0.02


@pytest.fixture(scope="module")
def library() -> Path:
    return libraries()[platform.machine()]


def difference(found: Array, exact: Array) -> float:
    return float(np.sqrt(((found - exact) ** 2).mean() / (exact**2).mean()))


def test_a_layer_of_any_shape_is_that_of_float64(library: Path) -> None:
    def check(heads: int, head: int, inner: int, tokens: int, seed: int) -> None:
        layer = Layer.drawn(heads=heads, head=head, inner=16 * inner, seed=seed)
        x = inputs(seed, 1, tokens, layer.hidden)
        found = run(opened(layer.graph(), library), x)[0]
        assert difference(found, layer.exact(x[0])) < TOLERANCE

    drawn = given(
        heads=st.integers(1, 5),
        head=st.sampled_from([16, 32, 48, 64, 80, 96, 256]),
        inner=st.integers(1, 20),
        tokens=st.integers(1, 140),
        seed=st.integers(0, 1000),
    )
    settings(max_examples=40, deadline=None, derandomize=True, database=None)(drawn(check))()


@pytest.mark.parametrize("activation", Activation)
def test_a_layer_of_any_activation_is_that_of_float64(
    library: Path, activation: Activation
) -> None:
    """Of inputs as far apart as those of a real layer's; each activation is told from the others."""
    layer = Layer.drawn(heads=3, head=32, inner=208, seed=4, activation=activation)
    layer.constants["up.scale"][...] *= 2
    x = inputs(6, 1, 40, layer.hidden)
    found = run(opened(layer.graph(), library), x)[0]
    assert difference(found, layer.exact(x[0])) < TOLERANCE
    for other in set(Activation) - {activation}:
        nearly = {activation, other} == {Activation.GELU, Activation.GELU_TANH}
        apart = difference(found, replace(layer, activation=other).exact(x[0])) > TOLERANCE
        assert apart or nearly


@pytest.mark.parametrize("tokens", [1, 5, 16, 47])
def test_what_is_added_to_scores_counts_as_in_float64(library: Path, tokens: int) -> None:
    layer = Layer.drawn(heads=3, head=32, inner=48, seed=6, positions=True)
    session, added = opened(layer.graph(), library), positions_of(1, 3, tokens)
    x = inputs(8, 2, tokens, layer.hidden)
    mask = np.ones((2, tokens), bool)
    mask[1, ::3] = tokens < 3
    found = run(session, x, mask, added)
    for text in (0, 1):
        kept = mask[text]
        exact = layer.exact(x[text, kept], added[:, kept][:, :, kept])
        assert difference(found[text, kept], exact) < TOLERANCE
    if tokens > 1:
        assert difference(found[0], layer.exact(x[0])) > TOLERANCE


@pytest.mark.parametrize("tokens", [1, 2, 15, 16, 17, 511])
def test_a_text_of_any_length_is_that_of_float64(library: Path, tokens: int) -> None:
    x = inputs(tokens, 1, tokens, LAYER.hidden)
    found = run(opened(LAYER.graph(), library), x)[0]
    assert difference(found, LAYER.exact(x[0])) < TOLERANCE


def test_each_part_of_the_layer_counts(library: Path) -> None:
    """Without any one of its constants the answer is another: the tolerance would show a part that is left out."""
    x = inputs(5, 1, 20, LAYER.hidden)
    exact = LAYER.exact(x[0])
    for name, value in LAYER.constants.items():
        changed = np.roll(value, 1, axis=-1)
        found = run(opened(LAYER.graph({name: changed}), library), x)[0]
        assert difference(found, exact) > TOLERANCE, name


def test_every_kernel_and_number_of_threads_gives_the_same_bits(library: Path) -> None:
    kernels = [k for k in KERNELS[platform.machine()] if runs(k)]
    found = {k: in_process("tests.build.kernels.bits", k, str(library)) for k in kernels}
    assert len(found) > 1
    assert len({tuple(digests) for digests in found.values()}) == 1
    sessions = [opened(LAYER.graph(), library, threads) for threads in (1, 2, 3)]
    # Smaller and larger than a block; the first runs show how many threads there are, and later ones divide by that.
    for shape in ((4, 70), (1, 3), (1, 7), (1, 16), (2, 17), (1, 40)):
        x = inputs(3, *shape, LAYER.hidden)
        one, *others = (run(session, x) for session in sessions)
        assert all(np.array_equal(one, other) for other in others)


def test_an_answer_depends_neither_on_padding_nor_on_its_neighbours(library: Path) -> None:
    session = opened(LAYER.graph(), library)
    x = inputs(7, 3, 40, LAYER.hidden)
    mask = np.zeros((3, 40), bool)
    mask[0, :9], mask[1, 3::2] = (
        True,
        True,
    )  # padding behind, and holes; the third text is all padding
    padded = np.where(mask[:, :, None], x, np.float32(np.nan))
    found = run(session, padded, mask)
    for text in (0, 1):
        alone = run(session, x[text, mask[text]][None])[0]
        assert np.array_equal(found[text, mask[text]], alone)
    assert not found[~mask].any()


def test_texts_of_any_lengths_are_answered_together_as_each_alone(library: Path) -> None:
    sessions = [opened(LAYER.graph(), library, threads) for threads in (1, 2)]

    def check(lengths: list[int], seed: int) -> None:
        x = inputs(seed, len(lengths), max(lengths), LAYER.hidden)
        mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
        alone = [run(sessions[0], x[i : i + 1, :length])[0] for i, length in enumerate(lengths)]
        for session in sessions:
            found = run(session, x, mask)
            assert all(
                np.array_equal(found[i, :length], alone[i]) for i, length in enumerate(lengths)
            )

    drawn = given(
        lengths=st.lists(st.integers(1, 90), min_size=1, max_size=9), seed=st.integers(0, 1000)
    )
    settings(max_examples=40, deadline=None, derandomize=True, database=None)(drawn(check))()


@pytest.mark.parametrize("value", [0.0, 1e-42, 1e-30, 1e12])
def test_activations_of_any_size_give_finite_answers(library: Path, value: float) -> None:
    assert np.isfinite(run(opened(LAYER.graph(), library), spread(value))).all()


def test_activations_that_pass_the_range_of_floats_are_survived(library: Path) -> None:
    session = opened(LAYER.graph(), library)
    run(session, spread(3e38))
    x = inputs(4, 1, 6, LAYER.hidden)
    assert np.array_equal(run(session, x), run(opened(LAYER.graph(), library), x))


def spread(value: float) -> Array:
    """Return a text whose activations are the value, parts of it, and both below 0."""
    x = np.full((1, 6, LAYER.hidden), value, np.float32)
    x[:, 1::2] *= -0.25
    x[:, :, ::3] *= 0.5
    return x


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("token", [0, 5, 12, 18])
def test_what_is_no_number_spreads_within_its_text_alone(
    library: Path, token: int, value: float
) -> None:
    """As in floats, each token of a text depends on all of its tokens, and on no other text's.

    The NaN of an answer is always the same one, since processors make different ones.
    """
    session = opened(LAYER.graph(), library)
    x = inputs(9, 2, 19, LAYER.hidden)
    broken = x.copy()
    broken[0, token, 7] = value
    found = run(session, broken)
    assert set(found[0].view(np.uint32).flat) == {0x7FC00000}
    assert np.array_equal(found[1], run(session, x)[1])


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_query_key_or_value_that_is_no_number_is_not_left_out(library: Path, part: int) -> None:
    """The bias of one column of queries, keys or values is NaN: so is what the head makes of them."""
    bias = LAYER.constants["qkv.bias"].copy()
    bias[part * LAYER.hidden + 40] = np.nan
    session = opened(LAYER.graph({"qkv.bias": bias}), library)
    assert not np.isfinite(run(session, inputs(9, 1, 19, LAYER.hidden))).any()


def test_attention_that_is_sure_and_attention_that_is_even_are_those_of_float64(
    library: Path,
) -> None:
    for factor in (0.0, 10.0):
        weights = dict(LAYER.constants)
        weights["qkv.scale"] = weights["qkv.scale"].copy()
        weights["qkv.scale"][: LAYER.hidden] *= factor
        layer = Layer(heads=3, hidden=96, inner=208, constants=weights)
        x = inputs(2, 1, 256, layer.hidden)
        found = run(opened(layer.graph(), library), x)[0]
        assert difference(found, layer.exact(x[0])) < 2 * TOLERANCE
