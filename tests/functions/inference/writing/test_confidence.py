"""The confidence of a text is that of transformers' own probabilities, and of no text that is not all greedy."""

from pathlib import Path

import pytest

from contracts.prediction import PredictRequest
from functions.inference.generation import Generator
from tests.fixtures.models.tiny_decoders import PROMPTS, built, generate, llama, opened

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("source") / "llama")


@pytest.fixture(scope="module")
def generator(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    model: Generator = opened(source, built(source, tmp_path_factory.mktemp("built") / "cpu"))
    return model


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_it_is_the_geometric_mean_of_the_probabilities_of_its_tokens(
    generator: Generator, source: Path, penalty: float
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(source).eval()
    feed = AutoTokenizer.from_pretrained(source)(PROMPTS[0], return_tensors="pt")
    asked = {"do_sample": False, "return_dict_in_generate": True, "output_scores": True}
    with torch.no_grad():
        found = model.generate(**feed, **asked, max_new_tokens=9, repetition_penalty=penalty)
    scores = model.compute_transition_scores(found.sequences, found.scores, normalize_logits=True)
    parameters = {"max_new_tokens": 9, "repetition_penalty": penalty}
    output = generate(generator, PROMPTS[0], **parameters).output
    assert output["confidence"] == pytest.approx(float(scores[0].mean().exp()), rel=1e-3)
    assert 0 < output["confidence"] < 1


def test_a_text_that_is_sampled_or_out_of_time_has_none(generator: Generator) -> None:
    assert "confidence" not in generate(generator, PROMPTS[0], do_sample=True).output
    late = PredictRequest(inputs=(PROMPTS[0],), parameters={}, deadline=0.0)
    (output,) = generator.outputs(late)
    assert output["finish_reason"] == "time"
    assert "confidence" not in output
