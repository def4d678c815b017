"""The figures of an artefact as text: the cards, sentences and table cells of its evidence page."""

from collections.abc import Iterator, Mapping
from itertools import starmap
from typing import Any

# More labels than this nobody reads in a sentence; the evidence has all of them.
MAX_LABELS = 20
Document = Mapping[str, Any]

SAMPLE = (
    "Agreement on sample rows only: no row is yours, so nothing is shown of your own texts. Add your own rows to the "
    "file under eval and build again."
)


def cards(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the most important figures, each with its name."""
    if "metric" in document:
        metric = f"{_value(document, 'metric_original')} → {_value(document, 'metric_built')}"
        yield metric, f"{document['metric']} on {document['rows']} rows"
    if "ratio" in document:
        perplexity = f"{document['perplexity_original']:.2f} → {document['perplexity_built']:.2f}"
        yield perplexity, f"perplexity of {document['tokens']} tokens"
    if "agreement" in document:
        name = (
            "agreement on the next token" if "ratio" in document else "agreement with the reference"
        )
        yield f"{document['agreement']:.2%}", name
    if "ratio" in document:
        yield (
            f"{document['difference_p95']:.4f}",
            "nats, 95th percentile of the difference per token",
        )
    if "determination" in document:
        yield f"{document['determination']:.4f}", "R² to the reference's numbers"
        yield f"{document['farthest']:.4g}", "the largest difference of a number"
    if "cosine_mean" in document:
        yield f"{document['cosine_mean']:.4f}", "mean cosine to the reference"
        yield f"{document['cosine_p5']:.4f}", "5th percentile of the cosine"
    if "neighbours" in document:
        yield f"{document['neighbours']:.1%}", "of the nearest words in common"


def sentences(document: Document) -> Iterator[str]:
    """Yield the measurements with their intervals, and what counts as a correct answer."""
    if document.get("sample"):
        yield SAMPLE
    yield _reading(document["reading"])
    yield from _rows(document)
    if "agreement_low" in document and "metric" in document:
        yield _agreement(document)
    if "metric_built_low" in document:
        yield _correlation(document)
    if document.get("pairs"):
        yield _word_pairs(document)
    if "cosine_mean" in document:
        yield _cosine(document)
        yield from starmap(_shorter, document.get("shorter", {}).items())
    if "ratio" in document:
        yield _perplexity_ratio(document)
    if "determination" in document:
        yield _determination(document)


def similarity(candidate: Document) -> float:
    """Return the similarity to the reference, 1 at most: agreement, R², perplexity ratio (inverted above 1), cosine."""
    if "agreement" in candidate:
        return float(candidate["agreement"])
    # A perplexity below the reference's is as far from it as one above.
    if "determination" in candidate:
        return float(candidate["determination"])
    if "ratio" in candidate:
        return min(float(candidate["ratio"]), 1 / float(candidate["ratio"]))
    return float(candidate.get("cosine_mean", 0))


def similarity_name(candidate: Document) -> str:
    """Return the name of the figure that `similarity` returns."""
    if "agreement" in candidate:
        return "agreement"
    if "determination" in candidate:
        return "R²"
    return "perplexity ratio" if "ratio" in candidate else "mean cosine"


def metric(candidate: Document) -> str:
    """Return the figure besides similarity: the metric, the perplexity, or the 5th percentile of the cosine."""
    if "metric_built" in candidate:
        return _value(candidate, "metric_built", ".2%")
    if "determination" in candidate:
        return f"{candidate['farthest']:.4g}"
    if "ratio" in candidate:
        return f"{candidate['perplexity_built']:.2f}"
    return f"{candidate['cosine_p5']:.4f}"


def metric_name(candidate: Document) -> str:
    """Return the name of the figure that `metric` returns."""
    if "ratio" in candidate:
        return "perplexity"
    besides = "largest difference" if "determination" in candidate else "cosine, 5th percentile"
    return str(candidate.get("metric", besides))


def interval(candidate: Document) -> tuple[str, str]:
    """Return the name and the 95 % interval of the figure that has one."""
    # A correlation is no share of anything, so its difference is not written in per cent.
    if "metric_built" in candidate:
        form = "+.4f" if _is_correlation(candidate) else "+.2%"
        return "difference, 95 % interval", _between(candidate, "difference", form)
    if "ratio" in candidate:
        return "perplexity ratio, 95 % interval", _between(candidate, "ratio", ".4f")
    if "determination" in candidate:
        return "R², 95 % interval", _between(candidate, "determination", ".4f")
    return "mean cosine, 95 % interval", _between(candidate, "cosine", ".2%")


def _is_correlation(document: Document) -> bool:
    """Return whether the task's metric is a correlation and no share of anything."""
    return "cosine_mean" in document or "determination" in document


def _value(document: Document, key: str, percent: str = ".1%") -> str:
    """Return the task's metric: a correlation as a number, any other as a percentage."""
    return format(document[key], ".4f" if _is_correlation(document) else percent)


def _between(document: Document, key: str, form: str, to: str = "to") -> str:
    return f"{document[f'{key}_low']:{form}} {to} {document[f'{key}_high']:{form}}"


def _reading(reading: Document) -> str:
    """Return whether the model's own library has read the source too, and what it answered in full precision."""
    if not reading["libraries"]:
        return f"Reading not independently checked: {reading['why']}."
    names = (name for name in reading["libraries"] if name != "torch")
    versions = " and ".join(f"{name} {reading['libraries'][name]}" for name in names)
    ties = (
        f"; the answer to {reading['near_ties']} of them differs, where the library prefers its own by less than "
        f"{reading['limits']['margin']:g} (difference of logits)"
        if reading["near_ties"]
        else ""
    )
    unread = f" Reading not independently checked: {reading['why']}." if reading["why"] else ""
    return (
        f"In full precision, all {reading['rows']} rows are answered as by {versions}, by which the source is read "
        f"apart from the build{ties}.{unread}"
    )


def _rows(document: Document) -> Iterator[str]:
    """Yield what the rows do not prove."""
    for finding in document.get("uninformative", ()):
        yield f"These rows prove little: {finding}."
    if document.get("labels_unseen"):
        yield _unseen(document)


def _unseen(document: Document) -> str:
    unseen = document["labels_unseen"]
    shown = ", ".join(unseen[:MAX_LABELS]) + (", …" if len(unseen) > MAX_LABELS else "")
    whose = "your rows" if document.get("reference") == "labels" else "the reference's answers"
    return f"{len(unseen)} of {document['labels']} labels never occur in {whose}: {shown}."


def _agreement(document: Document) -> str:
    labels = (
        "measured on your labels"
        if document["reference"] == "labels"
        else "your rows have no labels, so the reference's answers count as correct"
    )
    return (
        f"The artefact's {document['metric']} minus the reference's lies between "
        f"{_between(document, 'difference', '+.2%', 'and')} (95 % interval, paired bootstrap), {labels}. "
        f"It gives the reference's answer to between {_between(document, 'agreement', '.2%', 'and')} of such rows "
        "(95 % interval, Wilson)."
    )


def _determination(document: Document) -> str:
    scored = "" if "metric" in document else "; your rows have no numbers of their own"
    return (
        "The coefficient of determination (R²) of the artefact's numbers to the reference's lies between "
        f"{_between(document, 'determination', '.4f', 'and')} (95 % interval, bootstrap over rows){scored}. No number "
        f"differs by more than {document['farthest']:.4g}."
    )


def _correlation(document: Document) -> str:
    what = "the two vectors' cosine" if "cosine_mean" in document else "its numbers"
    return (
        f"The {document['metric']} of {what} with the scores in your rows lies between "
        f"{_between(document, 'metric_original', '.4f', 'and')} for the reference, and between "
        f"{_between(document, 'metric_built', '.4f', 'and')} for the artefact; the artefact's minus the reference's "
        f"lies between {_between(document, 'difference', '+.4f', 'and')} (95 % intervals, paired bootstrap)."
    )


def _word_pairs(document: Document) -> str:
    return (
        f"On {document['pairs']} pairs of words, Spearman's rank correlation with the scores in your rows is "
        f"{document['spearman_original']:.4f} for the reference and {document['spearman_built']:.4f} for the artefact; "
        f"the difference lies between {_between(document, 'difference', '+.4f', 'and')} (95 % interval, paired "
        "bootstrap)."
    )


def _cosine(document: Document) -> str:
    scored = "metric" in document or document.get("pairs")
    # With scores, the sentence on their correlation stands beside this one.
    scores = "" if scored else "; your rows have no scores, so vectors alone are compared"
    return (
        "The mean cosine of the artefact's vectors to the reference's lies between "
        f"{_between(document, 'cosine', '.4f', 'and')} (95 % interval, bootstrap over rows){scores}."
    )


def _shorter(dimensions: str, figures: Document) -> str:
    """Return the figures of vectors cut to fewer dimensions, both the artefact's and the reference's."""
    ranked = (
        f"; the {figures['metric']} with the scores in your rows is {_value(figures, 'metric_original')} for the "
        f"reference and {_value(figures, 'metric_built')} for the artefact"
        if "metric" in figures
        else ""
    )
    return (
        f"Cut to {dimensions} dimensions, the mean cosine of the artefact's vectors to the reference's is "
        f"{figures['cosine_mean']:.4f} ({_between(figures, 'cosine', '.4f')}), its 5th percentile "
        f"{figures['cosine_p5']:.4f}{ranked}."
    )


def _perplexity_ratio(document: Document) -> str:
    return (
        f"The ratio of the artefact's perplexity to the reference's is {document['ratio']:.4f}, and lies between "
        f"{_between(document, 'ratio', '.4f', 'and')} (95 % interval, paired bootstrap over rows). No token's "
        f"log-probability differs by more than {document['difference_max']:.4f} nats."
    )
