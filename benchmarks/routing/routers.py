"""Routers compared: for each row, how urgent it is to ask the large model. A higher number goes first."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from build.cascade.answers import Answers
from build.cascade.reliability import Floats
from build.cascade.thresholds import Booleans

SEED = 7
# Each part is scored by models fitted on the other ones.
FOLDS = 5


def gain_of(answers: Answers) -> Floats:
    """Return for each row how much more right the large model is: 1, 0 or -1."""
    return answers.gpu_right.astype(np.float64) - answers.cpu_right


def cascade(texts: Sequence[str], answers: Answers) -> Floats:
    """Return how unsure the small model is: what the product goes by."""
    return -answers.confidences


def at_random(texts: Sequence[str], answers: Answers) -> Floats:
    """Return a draw."""
    return np.random.default_rng(SEED).random(len(texts))


def by_words(texts: Sequence[str], answers: Answers) -> Floats:
    """Return P(large model right) - P(small model right) by TF-IDF and logistic regression on the text alone.

    Labels of four fifths of the rows fit what scores the other fifth: many, which is kind to this router.
    """
    from sklearn.model_selection import KFold, cross_val_predict

    folds = KFold(FOLDS, shuffle=True, random_state=SEED)

    def probability(right: Booleans) -> Floats:
        if len(np.unique(right)) < 2:
            return right.astype(np.float64)
        found = cross_val_predict(_by_words(), texts, right, cv=folds, method="predict_proba")
        return np.asarray(found[:, 1], np.float64)

    return probability(answers.gpu_right) - probability(answers.cpu_right)


def _by_words() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    return make_pipeline(words, LogisticRegression(max_iter=1000))


def oracle(texts: Sequence[str], answers: Answers) -> Floats:
    """Return what asking the large model brings, which only the right answers tell."""
    return gain_of(answers)


ROUTERS: Mapping[str, Callable[[Sequence[str], Answers], Floats]] = {
    "cascade (confidence)": cascade,
    "TF-IDF, logistic regression": by_words,
    "random": at_random,
    "oracle": oracle,
}
