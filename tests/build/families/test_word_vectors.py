"""Whole builds of word vectors: read, quantized, compared with the file itself, sealed and served."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from build import api
from build.errors import SourceError
from build.evaluation.rows import read_rows
from build.evaluation.vectors.word_similarity import WordFigures
from build.tasks.registry import TASKS
from contracts.manifest import verify
from contracts.prediction import PredictRequest
from contracts.specs import Gate
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.fixtures.models.tiny_bert import deployment, write_rows
from tests.fixtures.models.word_files import TINY, as_binary, as_text, by_gensim, trained
from tests.fixtures.problems import assert_problems
from turnout.calling import describe

WORDS = Task.WORD_VECTORS


def wordsim(path: Path) -> Path:
    """Write WordSim-353, which gensim ships, as rows."""
    lines = trained("wordsim353.tsv").read_text("utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if not line.startswith("#")]
    documents: list[Any] = [{"text": a, "other": b, "score": float(s)} for a, b, s in pairs]
    return write_rows(path, documents)


def test_a_file_of_vectors_is_built_proven_and_served(tmp_path: Path) -> None:
    rows, out = wordsim(tmp_path / "rows.jsonl"), tmp_path / "models.out"
    source = Path(shutil.copyfile(trained("lee_fasttext_new.bin"), tmp_path / "lee.bin"))
    api.run(api.plan(deployment(source, rows, WORDS), out), out, timed=False)
    full, small = (verify(out / "tiny" / tier) for tier in ("gpu", "cpu"))
    assert (full.recipe, small.recipe) == ("fp32", "int8 rows")
    assert (small.precision, small.size < full.size, small.dimensions) == ("int8", True, 10)
    names = {"model.onnx", "probe.json", "table.bin", "vectors.json", "words.txt"}
    assert {file.path for file in small.files} == names
    engine = Engine.load(out / "tiny/cpu")
    analogy = {"positive": ["Australian", "people"], "negative": ["unseenly"]}
    request = PredictRequest(inputs=("police", analogy), parameters={"nearest": 4})
    outputs = engine.predict(request).outputs
    assert [len(output["nearest"]) for output in outputs] == [4, 4]
    document = json.loads((out / "tiny/evidence/cpu.json").read_text("utf-8"))
    assert document["source"] == "fastText .bin file"
    assert [c["recipe"] for c in document["candidates"]] == ["fp32", "int8 rows"]
    first = document["candidates"][0]
    assert (first["cosine_mean"], first["neighbours"]) == pytest.approx((1, 1), abs=1e-3)
    assert first["spearman_original"] == pytest.approx(first["spearman_built"], abs=1e-6)
    assert document["pairs"] == 353  # of n-grams, every word has a vector
    page = (out / "tiny/report.html").read_text("utf-8")
    assert "of the nearest words in common" in page
    assert "On 353 pairs of words" in page
    assert api.plan(deployment(source, rows, WORDS), out)[0].current


def test_words_with_line_ends_in_them_keep_their_vectors(tmp_path: Path) -> None:
    source, out = tmp_path / "tiny.bin", tmp_path / "models.out"
    odd = ("carriage\rreturn", "next\x85line")
    source.write_bytes(as_binary({odd[0]: (1, 0, 0, 0), odd[1]: (0, 1, 0, 0), **TINY}))
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": word} for word in TINY])
    api.run(api.plan(deployment(source, rows, WORDS), out), out, timed=False)
    request = PredictRequest(inputs=(*odd, *TINY))
    outputs = Engine.load(out / "tiny/gpu").predict(request).outputs
    found = [output["embedding"] for output in outputs]
    assert found == [pytest.approx(row) for row in ((1, 0, 0, 0), (0, 1, 0, 0), *TINY.values())]


def test_the_correlation_with_human_scores_is_gensims(tmp_path: Path) -> None:
    path = trained("euclidean_vectors.bin")
    theirs = by_gensim(path, binary=True)
    rows, problems = read_rows(wordsim(tmp_path / "rows.jsonl"), TASKS[WORDS].rows, None)
    assert problems == []
    outputs = [
        [{"embedding": theirs[w].tolist(), "found": True, "nearest": []} if w in theirs else {"found": False}
         for w in map(str, row.request.inputs)]
        for row in rows
    ]  # fmt: skip
    figures = TASKS[WORDS].comparison.measure(outputs, outputs, rows)
    assert isinstance(figures, WordFigures)
    (_, right, unknown) = theirs.evaluate_word_pairs(
        str(trained("wordsim353.tsv")), case_insensitive=False
    )
    assert figures.spearman_original == pytest.approx(right.statistic, abs=1e-6)
    assert figures.pairs == 353 - round(353 * unknown / 100)
    assert (figures.difference_low, figures.difference_high) == (0, 0)
    assert figures.found < 1


def test_other_vectors_than_the_references_do_not_pass(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"text": "a"}, {"text": "b"}])
    rows = read_rows(path, TASKS[WORDS].rows, None)[0]
    reference = [[vector([1, 0], "b")], [vector([0, 1], "a")]]
    candidate = [[vector([1, 1], "b")]] * 2
    figures = TASKS[WORDS].comparison.measure(candidate, reference, rows)
    assert isinstance(figures, WordFigures)
    assert figures.cosine_mean == pytest.approx(0.5**0.5)
    assert (figures.neighbours, figures.pairs) == (0.5, 0)
    assert len(figures.problems(Gate())) == 2


def vector(values: list[float], nearest: str) -> dict[str, Any]:
    return {"embedding": values, "found": True, "nearest": [{"word": nearest}]}


def test_a_damaged_row_in_the_file_stops_the_build_and_leaves_nothing(tmp_path: Path) -> None:
    source, out = tmp_path / "glove.txt", tmp_path / "models.out"
    source.write_bytes(as_text(TINY).replace(b"-0.4", b"x").replace(b"queen", b"king"))
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": "king"}])
    plan = api.plan(deployment(source, rows, WORDS), out)
    with pytest.raises(SourceError) as caught:
        api.run(plan, out)
    assert_problems(
        caught.value.problems,
        ("file_damaged", f"{source}: line 2", "'king' stands on line 1 already"),
        ("file_damaged", f"{source}: line 3", "'man' has b'x'", "correct it, or leave it out"),
    )
    assert not (out / "tiny").exists()


def test_the_command_line_prints_an_output_in_few_words() -> None:
    near = [{"word": "queen", "score": 0.8}, {"word": "throne", "score": 0.75}]
    assert describe({"embedding": [1, 2], "nearest": near}) == "queen 0.80, throne 0.75"
    assert describe({"found": False, "unknown": ["nobody"]}) == "not known: nobody"


def test_rows_without_a_word_of_the_file_are_refused(tmp_path: Path) -> None:
    source, out = tmp_path / "glove.txt", tmp_path / "models.out"
    source.write_bytes(as_text(TINY))
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": "nobody"}])
    with pytest.raises(SourceError) as caught:
        api.run(api.plan(deployment(source, rows, WORDS), out), out)
    assert_problems(caught.value.problems, ("rows_invalid", source, "`eval`"))


def test_every_invalid_row_of_words_is_reported(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"text": "king"},
        {"other": "queen"},
        {"text": "king", "other": "queen"},
        {"text": "king", "score": 3},
        {"text": "king", "other": "queen", "score": True},
    ]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    score = ('"score"', 'how alike "text" and "other" are')
    assert_problems(
        read_rows(path, TASKS[WORDS].rows, None)[1],
        ("rows_invalid", f"{path}:2", 'no "text"', "not empty"),
        ("rows_invalid", f"{path}:3", *score),
        ("rows_invalid", f"{path}:4", 'no "other"', "not empty"),
        ("rows_invalid", f"{path}:5", *score),
    )
