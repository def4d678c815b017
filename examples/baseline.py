"""Baseline on the same rows: TF-IDF of words and characters with logistic regression."""

from collections.abc import Sequence

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from examples.rows import Row


def accuracy(train: Sequence[Row], test: Sequence[Row]) -> float:
    """Return the share of test rows that the baseline, fitted on the training rows, labels correctly."""
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    model = make_pipeline(features, LogisticRegression(C=10, max_iter=2000))
    model.fit([row.text for row in train], [row.label for row in train])
    found = model.predict([row.text for row in test])
    right = sum(bool(a == row.label) for a, row in zip(found, test, strict=True))
    return right / len(test)
