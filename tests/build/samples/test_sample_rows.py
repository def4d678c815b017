"""The sample's texts, the rows that are made of them for each task, and rows that are recognised as the sample's."""

import json
from collections import Counter
from pathlib import Path

import pytest

from build.evaluation.rows import read_rows
from build.samples.facts import facts_of, only_sample_rows
from build.samples.rows import MIN_ROWS, PUNCTUATION, SampleFacts, as_lines, sample_rows
from build.samples.texts import sample_texts
from build.sources.source import Source, TableSource
from build.sources.vectors.words import first_words
from build.tasks.registry import TASKS
from contracts.tasks import Task
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_ngrams import LITTLE
from tests.fixtures.models.word_files import TINY, as_binary, as_fasttext, as_text

FACTS = SampleFacts(mask_token="<mask>", words=("the", "king", "of", "spades"))


def test_the_sample_has_200_texts_of_many_languages_short_and_long_each_of_them_once() -> None:
    texts = sample_texts()
    assert len({each.text for each in texts}) == len({each.question for each in texts}) == 200
    languages = Counter(each.language for each in texts)
    assert len(languages) >= 13
    assert min(languages.values()) >= 8
    lengths = [len(each.text) for each in texts]
    assert min(lengths) < 15
    assert sum(length > 300 for length in lengths) >= 8


@pytest.mark.parametrize("task", Task)
def test_rows_of_every_task_are_in_its_form_and_have_no_right_answers(
    tmp_path: Path, task: Task
) -> None:
    path = tmp_path / "rows.jsonl"
    made = sample_rows(task, FACTS)
    path.write_text(as_lines(made), "utf-8")
    rows, problems = read_rows(path, TASKS[task].rows, None)
    assert problems == []
    assert len(rows) == (4 if task is Task.WORD_VECTORS else 200)
    assert {row.answer for row in rows} == {None}
    assert len({json.dumps(row) for row in made}) > 0.9 * len(made)


def test_each_text_has_one_mask_in_the_place_of_a_word_or_a_character() -> None:
    rows = sample_rows(Task.FILL_MASK, FACTS)
    assert [row for row in rows if row["text"].count("<mask>") != 1] == []
    for row, each in zip(rows, sample_texts(), strict=True):
        before, after = row["text"].split("<mask>")
        assert each.text.startswith(before)
        assert each.text.endswith(after)
        assert len(before) + len(after) < len(each.text)


def test_texts_to_rank_hold_the_answer_in_any_place_and_others_of_its_language() -> None:
    texts = {each.text: each for each in sample_texts()}
    questions = {each.question: each for each in sample_texts()}
    places = Counter[int]()
    for row in sample_rows(Task.TEXT_RANKING, FACTS):
        right = questions[row["query"]]
        places[row["texts"].index(right.text)] += 1
        assert {texts[text].language for text in row["texts"]} == {right.language}
    assert min(places[place] for place in range(3)) > 40


def test_a_classifier_of_pairs_gets_hypotheses_about_the_right_topic_and_others() -> None:
    rows = sample_rows(Task.TEXT_CLASSIFICATION, SampleFacts(pairs=True))
    about = sum(
        row["text_pair"] == f"This text is about {each.topic}."
        for row, each in zip(rows, sample_texts(), strict=True)
    )
    assert 60 < about < 140


def test_texts_of_the_models_languages_are_taken_where_there_are_enough() -> None:
    every = sample_rows(Task.TEXT_RANKING, FACTS)
    english = sample_rows(Task.TEXT_RANKING, FACTS, ["en"])
    assert MIN_ROWS <= len(english) < len(every)
    # A row is the same in every selection, or it would not be recognised.
    assert all(row in every for row in english)
    assert sample_rows(Task.TEXT_RANKING, FACTS, ["hi"]) == every


def test_a_model_that_knows_few_words_scores_texts_of_those() -> None:
    made = sample_rows(Task.LANGUAGE_MODEL_SCORING, FACTS)
    assert {word for row in made for word in row["text"].split()} == set(FACTS.words)
    english = {
        word.strip(PUNCTUATION)
        for each in sample_texts()
        for word in each.text.lower().split()
        if each.language == "en"
    }
    spoken = sample_rows(Task.LANGUAGE_MODEL_SCORING, SampleFacts(words=tuple(sorted(english))))
    assert {"text": "too salty"} in spoken
    assert MIN_ROWS <= len(spoken) < 200


def vectors(folder: Path) -> Source:
    path = folder / "words.vec"
    path.write_text("".join(f"w{i} {i} 1 2\n" for i in range(250)), "utf-8")
    return read_as(TableSource, path, Task.WORD_VECTORS)


def written(path: Path, source: Source, lines: list[str]) -> bool:
    """Write rows and return whether a build takes them for the sample's alone."""
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
    rows, problems = read_rows(path, source.task.rows, None)
    assert problems == []
    return only_sample_rows(source, rows)


def test_rows_count_as_the_sample_until_one_of_them_is_the_users(tmp_path: Path) -> None:
    source, path = vectors(tmp_path), tmp_path / "rows.jsonl"
    sample = as_lines(sample_rows(Task.WORD_VECTORS, facts_of(source))).splitlines()
    assert len(sample) == 200
    assert written(path, source, sample)
    # Rows that are left out, moved or written with other spaces are no rows of the user's.
    assert written(path, source, sample[150:20:-1])
    assert written(path, source, [line.replace(":", " : ") for line in sample])
    assert not written(path, source, [*sample, '{"text": "w249"}'])
    assert not written(path, source, [sample[0].replace("w0", "w0x"), *sample[1:]])


def test_texts_for_an_n_gram_model_are_of_words_that_its_file_has(tmp_path: Path) -> None:
    path = tmp_path / "little.arpa"
    path.write_text(LITTLE, "utf-8")
    source = read_as(TableSource, path, Task.LANGUAGE_MODEL_SCORING)
    assert set(facts_of(source).words) == {"the", "train", "late"}
    sample = as_lines(sample_rows(Task.LANGUAGE_MODEL_SCORING, facts_of(source))).splitlines()
    assert written(tmp_path / "rows.jsonl", source, sample)
    assert not written(tmp_path / "rows.jsonl", source, [*sample, '{"text": "a train"}'])


def test_a_right_answer_makes_a_row_of_the_sample_the_users(tmp_path: Path) -> None:
    source, path = vectors(tmp_path), tmp_path / "rows.jsonl"
    pairs = [
        '{"text": "w0", "other": "w1", "score": 3}',
        '{"text": "w2", "other": "w3", "score": 1}',
    ]
    assert not written(path, source, pairs)


def test_the_first_words_of_every_layout_are_read_without_its_vectors(tmp_path: Path) -> None:
    contents = (
        as_text(TINY),
        as_text(TINY, header=True),
        as_binary(TINY),
        as_binary(TINY, ends=False),
        as_fasttext(TINY),
    )
    for number, content in enumerate(contents):
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert list(first_words(path, 9)) == list(TINY)
        assert list(first_words(path, 2)) == list(TINY)[:2]
    # A file that is cut short gives the words that it has; the build reports the rest.
    path.write_bytes(as_binary(TINY)[:120])
    assert list(TINY)[:2] == list(first_words(path, 9))[:2]
