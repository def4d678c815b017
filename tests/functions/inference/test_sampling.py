"""The next token is drawn as transformers draws it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from functions.inference.logits_processors import PROCESSORS, TokenHistory
from functions.inference.sampling import LIMITS, Sampler, Sampling, probabilities, top_h

WORDS = 500
SAMPLINGS = (
    Sampling(temperature=0.7),
    Sampling(top_k=5),
    Sampling(top_p=0.6),
    Sampling(temperature=1.7, top_k=40, top_p=0.9),
    Sampling(temperature=0.2, top_k=1000, top_p=0.01),
)


def logits(seed: int) -> Any:
    return np.random.default_rng(seed).normal(0, 3, WORDS).astype(np.float32)


@pytest.mark.build
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=repr)
@pytest.mark.parametrize("seed", range(5))
def test_the_limits_leave_what_those_of_transformers_leave(sampling: Sampling, seed: int) -> None:
    import torch
    from transformers.generation import logits_process as theirs

    scores = torch.tensor(logits(seed))[None]
    ids = torch.tensor([[3, 7, 7, 100]])
    wanted = theirs.TemperatureLogitsWarper(float(sampling.temperature))(ids, scores)
    if sampling.top_k:
        wanted = theirs.TopKLogitsWarper(sampling.top_k)(ids, wanted)
    if sampling.top_p < 1:
        wanted = theirs.TopPLogitsWarper(sampling.top_p)(ids, wanted)
    found = probabilities(logits(seed).astype(np.float64), sampling)
    np.testing.assert_allclose(found, torch.softmax(wanted, -1)[0].numpy(), rtol=1e-4, atol=1e-9)


# Processors that count from the end of the prompt.
OF_PROMPT = {
    "min_new_tokens",
    "forced_eos_token_id",
    "exponential_decay_length_penalty",
    "begin_suppress_tokens",
}
PROMPT, TEXT, GENERATED, ENDS = [3, 7, 7, 100], [9, 7, 12, 7, 12], [7, 100], [2, 30]
# A model's setting, and transformers' processor for it: given its value, and the tensor of a text's tokens.
PROCESSED: Mapping[str, tuple[Any, Callable[[Any, Any, Any], Any]]] = {
    "sequence_bias": (
        [[[5], 2.5], [[7, 100, 6], -4.0], [[7, 9, 8], 9.0]],
        lambda of, value, text: of.SequenceBiasLogitsProcessor(value),
    ),
    "encoder_repetition_penalty": (
        1.4,
        lambda of, value, text: of.EncoderRepetitionPenaltyLogitsProcessor(value, text),
    ),
    "repetition_penalty": (
        1.3,
        lambda of, value, text: of.RepetitionPenaltyLogitsProcessor(value),
    ),
    "no_repeat_ngram_size": (
        2,
        lambda of, value, text: of.NoRepeatNGramLogitsProcessor(value),
    ),
    "encoder_no_repeat_ngram_size": (
        1,
        lambda of, value, text: of.EncoderNoRepeatNGramLogitsProcessor(value, text),
    ),
    "bad_words_ids": (
        [[4], [7, 100, 8], [2], [100, 7, 5]],
        lambda of, value, text: of.NoBadWordsLogitsProcessor(value, ENDS),
    ),
    "min_length": (7, lambda of, value, text: of.MinLengthLogitsProcessor(value, ENDS)),
    "min_new_tokens": (
        3,
        lambda of, value, text: of.MinNewTokensLengthLogitsProcessor(len(PROMPT), value, ENDS),
    ),
    "forced_bos_token_id": (8, lambda of, value, text: of.ForcedBOSTokenLogitsProcessor(value)),
    "forced_eos_token_id": (
        [30, 2],
        lambda of, value, text: of.ForcedEOSTokenLogitsProcessor(len(PROMPT) + 3, value),
    ),
    "exponential_decay_length_penalty": (
        [1, 1.5],
        lambda of, value, text: of.ExponentialDecayLengthPenalty(value, ENDS, len(PROMPT)),
    ),
    "suppress_tokens": ([1, 4], lambda of, value, text: of.SuppressTokensLogitsProcessor(value)),
    "begin_suppress_tokens": (
        [1, 4],
        lambda of, value, text: of.SuppressTokensAtBeginLogitsProcessor(value, len(PROMPT)),
    ),
}


@pytest.mark.build
@pytest.mark.parametrize("generated", [[], [7], GENERATED], ids=len)
@pytest.mark.parametrize(
    ("key", "prompt"),
    [(k, p) for k in PROCESSORS for p in (PROMPT, [0]) if p == PROMPT or k not in OF_PROMPT],
)
def test_each_processor_of_logits_is_that_of_transformers(
    key: str, prompt: list[int], generated: list[int]
) -> None:
    import torch
    from transformers.generation import logits_process as theirs

    value, make = PROCESSED[key]
    process = make(theirs, value, torch.tensor([TEXT]))
    ids = torch.tensor([[*prompt, *generated]])
    wanted = process(ids, torch.tensor(logits(1))[None])[0].numpy()
    history = TokenHistory(
        prompt=prompt, text=TEXT, ends=ENDS, max_new_tokens=3, generated=list(generated)
    )
    found = PROCESSORS[key](logits(1).astype(np.float64), value, history)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_every_processor_changes_something_in_one_of_these_tests() -> None:
    """Check that none of the comparisons holds because neither side does anything."""
    for key, (value, _) in PROCESSED.items():
        scores = logits(1).astype(np.float64)
        histories = [
            TokenHistory(
                prompt=prompt, text=TEXT, ends=ENDS, max_new_tokens=3, generated=list(generated)
            )
            for prompt in (PROMPT, [0])
            for generated in ([], [7], GENERATED)
        ]
        assert any((PROCESSORS[key](scores, value, h) != scores).any() for h in histories), key


@pytest.mark.build
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("top_h", 0.5, "TopHLogitsWarper"),
        ("min_p", 0.1, "MinPLogitsWarper"),
        ("typical_p", 0.6, "TypicalLogitsWarper"),
        ("epsilon_cutoff", 0.01, "EpsilonLogitsWarper"),
        ("eta_cutoff", 0.02, "EtaLogitsWarper"),
    ],
)
def test_each_limit_of_a_model_is_that_of_transformers(
    key: str, value: float, name: str, seed: int
) -> None:
    import torch
    from transformers.generation import logits_process as theirs

    scores = torch.tensor(logits(seed))[None]
    wanted = getattr(theirs, name)(value)(torch.tensor([PROMPT]), scores)[0].numpy()
    found = {**LIMITS, "top_h": top_h}[key](logits(seed).astype(np.float64), value)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert 0 < np.isfinite(found).sum() < WORDS


def test_the_limits_of_a_model_apply_to_its_samples() -> None:
    for limits in ({"top_h": 0.1}, {"min_p": 0.9}, {"epsilon_cutoff": 0.5}):
        found = probabilities(logits(3).astype(np.float64), Sampling(limits=limits))
        assert (found > 0).sum() == 1


def test_what_was_drawn_counts_as_seen() -> None:
    sampler = Sampler(Sampling(repetition_penalty=1e9), TokenHistory())
    drawn = [sampler.choose(np.abs(logits(2))) for _ in range(WORDS)]
    assert sorted(drawn) == list(range(WORDS))


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    scores = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    sampler = Sampler(Sampling(do_sample=True, seed=1), TokenHistory())
    counts = np.bincount([sampler.choose(scores) for _ in range(4000)], minlength=4)
    np.testing.assert_allclose(counts / 4000, [0.5, 0.3, 0.15, 0.05], atol=0.03)


@pytest.mark.parametrize("temperature", [1e-300, 1e-9, 1e299])
def test_no_temperature_is_too_low_or_too_high(temperature: float) -> None:
    found = probabilities(logits(3).astype(np.float64), Sampling(temperature=temperature))
    assert np.isfinite(found).all()
    assert found.max() == pytest.approx(1.0 if temperature < 1 else 1 / WORDS)
