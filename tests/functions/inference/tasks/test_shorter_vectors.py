"""Vectors of fewer dimensions: those that a build has proved, as sentence-transformers cuts them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.prediction import PredictRequest
from functions.inference.engine import Engine
from functions.inference.tasks.feature_extraction import shortened
from tests.fixtures.models.tiny import Tiny, artefact, vectors
from tests.fixtures.problems import raises

# Whole numbers of a float32 beside each other, below 1.
NEXT = 2**-24


def opened(folder: Path, dimensions: int = 4, **settings: Any) -> Engine:
    tiny: Tiny = replace(vectors(dimensions), **settings)
    return Engine.load(artefact(folder, tiny), max_inputs=3000)


def embedding(engine: Engine, text: str, **parameters: object) -> list[float]:
    request = PredictRequest(inputs=(text,), parameters=parameters)
    (output,) = engine.predict(request).outputs
    vector: list[float] = output["embedding"]
    return vector


def test_a_request_gets_the_first_dimensions_that_it_asks_for(tmp_path: Path) -> None:
    engine = opened(tmp_path / "cpu", shorter=(3, 1))
    assert embedding(engine, "two one") == [1.0, 2.0, 0.0, 0.0]
    assert embedding(engine, "two one", dimensions=4) == [1.0, 2.0, 0.0, 0.0]
    assert embedding(engine, "two one", dimensions=3) == [1.0, 2.0, 0.0]
    assert embedding(engine, "two one", dimensions=1) == [1.0]


def test_vectors_of_a_model_that_normalises_have_a_length_of_1_again(tmp_path: Path) -> None:
    engine = opened(tmp_path / "cpu", shorter=(2, 1), normalize=True)
    short = embedding(engine, "two one", dimensions=2)
    assert short == pytest.approx([5**-0.5, 2 * 5**-0.5])
    # Nothing is left of this one that could be made longer.
    assert embedding(engine, "two", dimensions=1) == [0.0]


@pytest.mark.parametrize("asked", [2, 0, -1, 5, 3.0, True, "3", None, [3]], ids=repr)
def test_other_dimensions_are_refused_with_those_that_are_known(
    tmp_path: Path, asked: object
) -> None:
    engine = opened(tmp_path / "cpu", shorter=(3, 1))
    with raises("invalid_input", "/parameters/dimensions", "must be 4 or 3 or 1; fewer"):
        embedding(engine, "one", dimensions=asked)


def test_a_model_that_lists_none_says_how_to_allow_them(tmp_path: Path) -> None:
    engine = opened(tmp_path / "cpu")
    with raises("invalid_input", "must be 4; fewer", "`dimensions`", "models.toml", "build"):
        embedding(engine, "one", dimensions=3)
    assert embedding(engine, "one", dimensions=4) == embedding(engine, "one")


def test_an_answer_has_room_for_more_vectors_that_are_shorter(tmp_path: Path) -> None:
    engine = opened(tmp_path / "cpu", 384, shorter=(8,))
    with raises("too_large", "at most 646"):
        engine.predict(PredictRequest(inputs=("one",) * 800))
    short = PredictRequest(inputs=("one",) * 800, parameters={"dimensions": 8})
    assert len(engine.predict(short).outputs) == 800


@pytest.mark.build
@pytest.mark.parametrize("normalize", [True, False])
def test_a_vector_is_cut_as_by_sentence_transformers(tmp_path: Path, normalize: bool) -> None:
    from sentence_transformers import SentenceTransformer

    from build.workspace.quiet import quiet
    from tests.fixtures.models.tiny_bert import encoder, texts

    with quiet():
        model = SentenceTransformer(str(encoder(tmp_path / "encoder")), device="cpu")
    # Of its modules the last normalises, before anything is cut: the library does so again if it is told to.
    whole = model.encode(texts(20))
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    for dimensions in (1, 7, 31, 32):
        theirs = model.encode(texts(20), truncate_dim=dimensions, normalize_embeddings=normalize)
        ours = [shortened(v.tolist(), dimensions, normalize=normalize) for v in whole]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2 * NEXT)
        assert normalize or (np.array(ours, np.float32) == theirs).all()
