"""An artefact's figures in words, for the page of a build: its cards, its sentences, its cells of a table.

What an evidence of an earlier build does not have is left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]


def cards(document: Document) -> Iterator[tuple[str, str]]:
    """The figures that matter most, each with what it is of."""
    if "metric" in document:
        metric = f"{_value(document, 'metric_original')} → {_value(document, 'metric_built')}"
        yield metric, f"{document['metric']} on {document['rows']} rows"
    if "ratio" in document:
        perplexity = f"{document['perplexity_original']:.2f} → {document['perplexity_built']:.2f}"
        yield perplexity, f"perplexity of {document['tokens']} tokens"
    if "agreement" in document:
        of = (
            "of next tokens are the original's"
            if "ratio" in document
            else "answered as by the original"
        )
        yield f"{document['agreement']:.2%}", of
    if "ratio" in document:
        yield f"{document['difference_p95']:.4f}", "nats, 95 % of tokens differ by less"
    if "cosine_mean" in document:
        yield f"{document['cosine_mean']:.4f}", "mean cosine to the original"
        yield f"{document['cosine_p5']:.4f}", "5th percentile of the cosine"
    if "neighbours" in document:
        yield f"{document['neighbours']:.1%}", "of the nearest words are the same"


def sentences(document: Document) -> Iterator[str]:
    """What was measured, with its intervals, and whose answers are the right ones."""
    if "agreement_low" in document and "metric" in document:
        yield _answers(document)
    if "metric_built_low" in document:
        yield _pairs(document)
    if document.get("pairs"):
        yield _words(document)
    if "cosine_low" in document:
        yield _cosine(document)
    if "ratio" in document:
        yield _perplexities(document)


def metric(candidate: Document) -> str:
    """The figure besides nearness: the metric, the perplexity, or the 5th percentile of the cosine."""
    if "metric_built" in candidate:
        return _value(candidate, "metric_built", ".2%")
    if "ratio" in candidate:
        return f"{candidate['perplexity_built']:.2f}"
    return f"{candidate['cosine_p5']:.4f}"


def metric_name(candidate: Document) -> str:
    """What that figure is."""
    if "ratio" in candidate:
        return "perplexity"
    return str(candidate.get("metric", "cosine, 5th percentile"))


def interval(candidate: Document) -> tuple[str, str]:
    """What is told with an interval of each candidate, and that of this one; both empty where nothing is."""
    if "metric_built" in candidate:
        form = "+.4f" if "cosine_mean" in candidate else "+.2%"
        return "metric − original's, 95 %", _between(candidate, "difference", form)
    if "ratio" in candidate:
        return "perplexity over original's, 95 %", _between(candidate, "ratio", ".4f")
    if "cosine_low" in candidate:
        return "alike, 95 %", _between(candidate, "cosine", ".2%")
    return "", ""


def _value(document: Document, key: str, share: str = ".1%") -> str:
    """The task's metric: a correlation as a number, all others as shares."""
    return format(document[key], ".4f" if "cosine_mean" in document else share)


def _between(document: Document, key: str, form: str, to: str = "to") -> str:
    return f"{document[f'{key}_low']:{form}} {to} {document[f'{key}_high']:{form}}"


def _answers(document: Document) -> str:
    labels = (
        "measured on your labels"
        if document["reference"] == "labels"
        else "your rows have no labels, so the original's own answers are the reference"
    )
    return (
        f"The {document['metric']} of what was built minus the original's lies between "
        f"{_between(document, 'difference', '+.2%', 'and')} (95 %, paired bootstrap), {labels}. "
        f"Of all such rows, {_between(document, 'agreement', '.2%')} are answered alike (95 %, Wilson)."
    )


def _pairs(document: Document) -> str:
    return (
        f"The {document['metric']} of the two vectors' cosine with the scores in your rows lies between "
        f"{_between(document, 'metric_original', '.4f', 'and')} by the original, and between "
        f"{_between(document, 'metric_built', '.4f', 'and')} by what was built; of the same rows, the latter minus "
        f"the former lies between {_between(document, 'difference', '+.4f', 'and')} (95 %, paired bootstrap)."
    )


def _words(document: Document) -> str:
    return (
        f"On {document['pairs']} pairs of words, Spearman's rank correlation with the scores in your rows is "
        f"{document['spearman_original']:.4f} by the original and {document['spearman_built']:.4f} by what was built; "
        f"the difference lies between {_between(document, 'difference', '+.4f', 'and')} (95 %, paired bootstrap)."
    )


def _cosine(document: Document) -> str:
    scored = "metric" in document or document.get("pairs")
    reference = (
        ""
        if scored
        else "; your rows have no scores, so the original's own vectors are the reference"
    )
    return (
        "The mean cosine of what was built to the original lies between "
        f"{_between(document, 'cosine', '.4f', 'and')} (95 %, bootstrap over rows){reference}."
    )


def _perplexities(document: Document) -> str:
    return (
        f"The perplexity of what was built over the original's is {document['ratio']:.4f}, and lies between "
        f"{_between(document, 'ratio', '.4f', 'and')} (95 %, paired bootstrap over rows). No token's "
        f"log-probability differs by more than {document['difference_max']:.4f} nats."
    )
