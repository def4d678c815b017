"""Word vectors as they are served: vectors, nearest words and analogies, against gensim on trained files."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build.families.word_vectors import FULL, SMALLER, make, prepare
from build.sources.source import TableSource
from contracts.api.word_vectors import MAX_WORD_CHARS
from contracts.manifest import Manifest
from contracts.prediction import PredictRequest
from contracts.tasks import Task, Tier
from functions.inference.words.character_ngrams import buckets_of
from functions.inference.words.word_vectors import WordVectors
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.word_files import TINY, as_fasttext, as_text, by_gensim, trained
from tests.fixtures.problems import assert_request_problems
from tests.fixtures.schema_checks import assert_described

NEAR = 1e-5
MANIFEST = Manifest(
    model="words",
    task=Task.WORD_VECTORS,
    tier=Tier.CPU,
    precision="fp32",
    recipe="fp32",
    max_tokens=1,
    toolchain={},
)


def served(path: Path, folder: Path, recipe: Any = FULL) -> WordVectors:
    """Build word vectors from a file, and open them as they are served."""
    source = read_as(TableSource, path, Task.WORD_VECTORS)
    prepared, parts = folder / "prepared", folder / "parts"
    for made in (prepared, parts):
        made.mkdir(parents=True)
    prepare(source, prepared, lambda text: None)
    make(recipe, source, prepared, (), parts)
    return WordVectors.open(parts, MANIFEST, threads=1, device="cpu")


def tiny(folder: Path, content: bytes | None = None) -> WordVectors:
    path = folder / "tiny"
    path.write_bytes(as_text(TINY) if content is None else content)
    return served(path, folder)


def predict(model: WordVectors, *inputs: Any, **parameters: Any) -> list[dict[str, Any]]:
    request = PredictRequest(inputs=inputs, parameters=parameters)
    assert model.problems(request) == []
    outputs = model.outputs(request)
    assert_described(Task.WORD_VECTORS, outputs)
    return outputs


@pytest.fixture(scope="module")
def word2vec(tmp_path_factory: pytest.TempPathFactory) -> tuple[WordVectors, Any]:
    path = trained("euclidean_vectors.bin")
    model = served(path, tmp_path_factory.mktemp("word2vec"))
    return model, by_gensim(path, binary=True)


@pytest.fixture(scope="module")
def fasttext(tmp_path_factory: pytest.TempPathFactory) -> tuple[WordVectors, Any]:
    path = trained("lee_fasttext_new.bin")
    return served(path, tmp_path_factory.mktemp("fasttext")), by_gensim(path, fasttext=True)


def assert_nearest(found: list[dict[str, Any]], right: list[tuple[str, float]]) -> None:
    """Check that scores are the same in the same order, and so are words but where scores are as good as equal."""
    assert [e["score"] for e in found] == pytest.approx([score for _, score in right], abs=NEAR)
    scores = dict(right)
    for entry, (word, score) in zip(found, right, strict=True):
        if entry["word"] != word:
            assert scores.get(entry["word"], score) == pytest.approx(score, abs=NEAR)


def test_vectors_and_nearest_words_are_those_of_gensim(word2vec: tuple[WordVectors, Any]) -> None:
    model, theirs = word2vec
    words = theirs.index_to_key[:300]
    for word, output in zip(words, predict(model, *words, nearest=10), strict=True):
        assert (output["found"], output["tokens"], output["truncated"]) == (True, 1, False)
        assert np.abs(np.array(output["embedding"]) - theirs[word]).max() < NEAR
        assert_nearest(output["nearest"], theirs.most_similar(word, topn=10))


def test_analogies_are_those_of_gensim(word2vec: tuple[WordVectors, Any]) -> None:
    model, theirs = word2vec
    words = theirs.index_to_key
    for i in range(40):
        plus, minus = [words[3 * i], words[7 * i + 1]], [words[5 * i + 2]]
        (output,) = predict(model, {"positive": plus, "negative": minus})
        assert_nearest(output["nearest"], theirs.most_similar(positive=plus, negative=minus))
        assert output["tokens"] == 3
        assert np.linalg.norm(output["embedding"]) == pytest.approx(1, abs=NEAR)
    (output,) = predict(model, {"positive": words[5]}, nearest=3)
    assert_nearest(output["nearest"], theirs.most_similar(words[5], topn=3))
    (output,) = predict(model, {"negative": words[5]})
    assert_nearest(output["nearest"], theirs.most_similar(negative=words[5]))


def test_words_that_fasttext_has_never_seen_are_made_of_their_ngrams(
    fasttext: tuple[WordVectors, Any],
) -> None:
    model, theirs = fasttext
    words = ["unseenly", "x", "Übermut", "новое", "日本語", "a" * MAX_WORD_CHARS, "two words"]
    assert not any(word in theirs.key_to_index for word in words)
    for word, output in zip(words, predict(model, *words, nearest=6), strict=True):
        assert output["found"]
        assert np.abs(np.array(output["embedding"]) - theirs[word]).max() < NEAR
        # The mark for the end of a text is another vector to gensim than to fastText.
        ours = [entry for entry in output["nearest"] if entry["word"] != "</s>"]
        right = [entry for entry in theirs.most_similar(word, topn=6) if entry[0] != "</s>"]
        assert_nearest(ours[:5], right[:5])


def test_analogies_of_words_that_fasttext_has_never_seen_are_those_of_gensim(
    fasttext: tuple[WordVectors, Any],
) -> None:
    model, theirs = fasttext
    (output,) = predict(model, {"positive": ["Australian", "unseenly"], "negative": ["people"]})
    right = theirs.most_similar(positive=["Australian", "unseenly"], negative=["people"])
    assert_nearest(output["nearest"], right)


def test_ngrams_are_hashed_as_by_the_reference() -> None:
    from gensim.models.fasttext_inner import compute_ngrams_bytes, ft_hash_bytes

    for word in ("king", "a", "", "новый", "日本", "naïve", "<>"):
        for shortest, longest in ((3, 6), (1, 2), (2, 2), (5, 5)):
            ngrams = compute_ngrams_bytes(word, shortest, longest)
            right = sorted(ft_hash_bytes(ngram) % 1000 for ngram in ngrams)
            assert sorted(buckets_of(word, shortest, longest, 1000)) == right


def test_an_unknown_word_fails_nothing_and_is_named(tmp_path: Path) -> None:
    model = tiny(tmp_path)
    value = {"positive": ["king", "nobody"], "negative": ["nothing", "nobody"]}
    known, word, analogy = predict(model, "king", "nobody", value, nearest=2)
    assert known["embedding"] == pytest.approx(TINY["king"])
    assert word == {"found": False, "unknown": ["nobody"], "tokens": 1, "truncated": False}
    assert analogy == {
        "found": False,
        "unknown": ["nobody", "nothing"],
        "tokens": 4,
        "truncated": False,
    }


def test_a_fasttext_word_too_short_for_any_ngram_is_unknown(tmp_path: Path) -> None:
    ngrams = [(1.0, 0.0, 0.0, 0.0)] * 8
    model = tiny(tmp_path, as_fasttext(TINY, ngrams, shortest=6, longest=6))
    short, long = predict(model, "xy", "long enough")
    assert (short["found"], long["found"]) == (False, True)
    assert long["embedding"] == pytest.approx([1, 0, 0, 0])


def test_a_fasttext_word_in_upper_case_is_made_of_its_own_ngrams(tmp_path: Path) -> None:
    model = tiny(tmp_path, as_fasttext(TINY, [(1.0, 0.0, 0.0, 0.0)] * 8))
    (output,) = predict(model, "KING")
    assert output["embedding"] == pytest.approx([1, 0, 0, 0])
    assert "word" not in output


def test_case_is_as_given_unless_all_words_are_in_lower_case(tmp_path: Path) -> None:
    model = tiny(tmp_path)
    upper, exact = predict(model, "King", "king", nearest=2)
    assert (upper["word"], "word" in exact) == ("king", False)
    assert upper["embedding"] == exact["embedding"]
    assert upper["nearest"] == exact["nearest"]
    (tmp_path / "mixed").mkdir()
    mixed = tiny(tmp_path / "mixed", as_text({**TINY, "Paris": (1.0, 0.0, 0.0, 0.0)}))
    assert [o["found"] for o in predict(mixed, "King", "king", "Paris", "paris")] == [
        False,
        True,
        True,
        False,
    ]


def test_more_words_than_there_are_gives_all_the_others(tmp_path: Path) -> None:
    model = tiny(tmp_path)
    (output,) = predict(model, "king", nearest=1000)
    assert {e["word"] for e in output["nearest"]} == set(TINY) - {"king"}
    scores = [e["score"] for e in output["nearest"]]
    assert scores == sorted(scores, reverse=True)


def test_a_vector_of_zeros_is_near_to_nothing(tmp_path: Path) -> None:
    model = tiny(tmp_path, as_text({**TINY, "zero": (0.0, 0.0, 0.0, 0.0)}))
    zero, king = predict(model, "zero", "king", nearest=10)
    assert zero["embedding"] == [0, 0, 0, 0]
    assert {e["score"] for e in zero["nearest"]} == {0}
    assert {e["word"]: e["score"] for e in king["nearest"]}["zero"] == 0


@pytest.mark.parametrize("recipe", [FULL, SMALLER], ids=lambda recipe: recipe.name)
def test_no_answer_depends_on_its_neighbours(tmp_path: Path, recipe: Any) -> None:
    model = served(trained("euclidean_vectors.bin"), tmp_path, recipe)
    inputs: list[Any] = [*model.words[:20], {"positive": list(model.words[20:24])}]
    together = predict(model, *inputs, nearest=7)
    for value, output in zip(inputs, together, strict=True):
        (alone,) = predict(model, value, nearest=7)
        assert alone["embedding"] == output["embedding"]
        assert [e["word"] for e in alone["nearest"]] == [e["word"] for e in output["nearest"]]


def test_scores_in_8_bits_are_the_cosines_of_the_vectors_served(tmp_path: Path) -> None:
    model = served(trained("euclidean_vectors.bin"), tmp_path, SMALLER)
    (output,) = predict(model, model.words[3], nearest=10)
    own = np.array(output["embedding"])
    for entry in output["nearest"]:
        (other,) = predict(model, entry["word"])
        vector = np.array(other["embedding"])
        cosine = own @ vector / np.linalg.norm(own) / np.linalg.norm(vector)
        assert entry["score"] == pytest.approx(cosine, abs=NEAR)


def test_the_table_lies_in_the_artefact_once(tmp_path: Path) -> None:
    model = served(trained("lee_fasttext_new.bin"), tmp_path)
    rows = len(model.words) + model.config.buckets
    size = (tmp_path / "parts/table.bin").stat().st_size
    size_of_table = struct.calcsize("f") * (rows * model.config.width + len(model.words))
    assert size_of_table <= size < size_of_table + 2 * 4096
    assert (tmp_path / "parts/model.onnx").stat().st_size < 10_000


@pytest.mark.parametrize(
    ("value", "parameters", "problem"),
    [
        ("king", {"top_k": 1}, ("/parameters/top_k", "unknown", "nearest")),
        ("king", {"nearest": 0}, ("/parameters/nearest", "from 1 to 1000")),
        ("king", {"nearest": True}, ("/parameters/nearest", "from 1 to 1000")),
        ({"text": "king"}, {}, ("/inputs/0", "must be", '{"positive": ["..."], "negative": ["..."]}')),
        ({"positive": []}, {}, ("/inputs/0", "no word")),
        ({"positive": ["king"] * 60, "negative": ["man"] * 41}, {}, ("/inputs/0", "100 words")),
        ("k" * 257, {}, ("/inputs/0", "256 characters")),
        ({"negative": "k" * 257}, {}, ("/inputs/0", "256 characters")),
    ],
)  # fmt: skip
def test_a_problem_is_reported_with_its_place(
    tmp_path: Path, value: Any, parameters: dict[str, Any], problem: tuple[str, ...]
) -> None:
    model = tiny(tmp_path)
    found = model.problems(PredictRequest(inputs=(value,), parameters=parameters))
    assert_request_problems(found, problem)
