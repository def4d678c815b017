"""The next token is drawn as transformers draws it."""

from typing import Any

import numpy as np
import pytest

from functions.inference.sampling import Sampler, Sampling, penalise, probabilities

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


@pytest.mark.build
def test_the_penalty_is_that_of_transformers() -> None:
    import torch
    from transformers.generation import logits_process as theirs

    ids = [3, 7, 7, 100]
    seen = np.zeros(WORDS, np.bool_)
    seen[ids] = True
    process = theirs.RepetitionPenaltyLogitsProcessor(1.3)
    wanted = process(torch.tensor([ids]), torch.tensor(logits(1))[None])[0].numpy()
    np.testing.assert_allclose(penalise(logits(1).astype(np.float64), seen, 1.3), wanted, rtol=1e-6)


def test_what_was_drawn_counts_as_seen() -> None:
    sampler = Sampler(Sampling(repetition_penalty=1e9), ())
    drawn = [sampler.choose(np.abs(logits(2))) for _ in range(WORDS)]
    assert sorted(drawn) == list(range(WORDS))


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    scores = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    sampler = Sampler(Sampling(do_sample=True, seed=1), ())
    counts = np.bincount([sampler.choose(scores) for _ in range(4000)], minlength=4)
    np.testing.assert_allclose(counts / 4000, [0.5, 0.3, 0.15, 0.05], atol=0.03)


@pytest.mark.parametrize("temperature", [1e-300, 1e-9, 1e299])
def test_no_temperature_is_too_low_or_too_high(temperature: float) -> None:
    found = probabilities(logits(3).astype(np.float64), Sampling(temperature=temperature))
    assert np.isfinite(found).all()
    assert found.max() == pytest.approx(1.0 if temperature < 1 else 1 / WORDS)
