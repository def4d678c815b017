"""The evidence page of one model: a single HTML file without scripts, which loads nothing from elsewhere."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from build.proof.ranking import EQUAL_LATENCY
from build.report import figures
from build.report.plots import css_class, latency_plot, pareto_plot
from build.workspace.publish import write_atomically
from contracts.cascade.calibration import FILE, BrokenCalibration, Calibration, read_calibration
from contracts.specs import Objective
from contracts.tasks import Tier

CASCADE_PAGE = "cascade.html"
CSS = Path(__file__).with_name("report.css")
Document = Mapping[str, Any]


def report(
    evidence: Sequence[Document], gate: float, calibration: Calibration | None = None
) -> str:
    """Return the page of the evidence of each tier; `gate` is the similarity that candidates had to reach."""
    first = evidence[0]
    sections = "".join(_tier(document, gate) for document in evidence)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(first["model"])}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{CSS.read_text('utf-8')}</style></head><body>"
        f"<h1>{_text(first['model'])}</h1>"
        f'<p class="dim">{_text(first["task"])} · from a {_text(first["source"])}'
        f"{' (' + _text(first['stored']) + ')' if first['stored'] else ''}"
        f"{' · licence ' + _text(first['licence']) if first['licence'] else ''} · {_text(first['machine'])} · "
        f"{_text(first['date'])}</p>{_cascade(evidence, calibration)}{sections}{_tools(first)}</body></html>\n"
    )


def write_report(place: Path, gate: float) -> None:
    """Write a model's page from the evidence of its tiers and its calibration; nothing where there is no evidence.

    `gate` is the similarity that the tiers had to reach.
    """
    # Beside these lies the record of an endpoint, which is of another form.
    documents = [_read(place / "evidence" / f"{tier}.json") for tier in Tier]
    if evidence := [each for each in documents if each]:
        write_atomically(place / "report.html", report(evidence, gate, _calibration(place)))


def _calibration(place: Path) -> Calibration | None:
    """Return the calibration of a model; None if it is broken, which stops a deployment and says so there."""
    try:
        return read_calibration(place / FILE)
    except BrokenCalibration:
        return None


def _cascade(evidence: Sequence[Document], calibration: Calibration | None) -> str:
    """Return the sentence that links the page of the cascade; empty without a calibration."""
    if calibration is None:
        return ""
    point = calibration.chosen
    link = f'<a href="{CASCADE_PAGE}">Cascade</a>'
    calibrated = {calibration.cpu[:12], calibration.gpu[:12]}
    # Of weights that were pushed there is no evidence of a build.
    if not {document["version"] for document in evidence} <= calibrated:
        return f'<p class="problem">{link}: off, since it was calibrated with other artefacts.</p>'
    return (
        f"<p>{link}: answers of the CPU tier are kept from a confidence of {point.threshold:.4f} on, "
        f"{point.kept:.1%} of them; the GPU tier is asked for the others.</p>"
    )


def _read(path: Path) -> Document:
    """Read the evidence in a file; empty if it is truncated, since its own tier is about to be built again."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, Mapping) else {}


def _text(value: object) -> str:
    # Rows, labels and names come from the user's files, and may hold anything.
    return html.escape(str(value))


def _tier(document: Document, gate: float) -> str:
    parts = [f"<h2>{_text(document['tier'])}: {_text(document['recipe'])}</h2>", _cards(document)]
    parts += [f"<p>{_text(sentence)}</p>" for sentence in figures.sentences(document)]
    # Candidates of a GPU tier are not timed, as this machine's times say nothing about it.
    if len(document["candidates"]) > 1 and document["expected_ms"]:
        parts += _comparison(document, gate)
    if document["processors"]:
        parts += ["<h2>Processors</h2>", _processors(document["processors"])]
        parts += [f"<p>{_passed_over(document, one)}</p>" for one in document["passed_over"]]
    parts += [f"<p>{_text(note)}.</p>" for note in document["notes"]]
    if document["per_class"]:
        parts += ["<h2>Accuracy by label</h2>", _classes(document["per_class"])]
    if document["flips"]:
        parts += ["<h2>Answers that changed</h2>", _changed(document["flips"])]
    return "".join(parts)


def _comparison(document: Document, gate: float) -> list[str]:
    candidates, unit = document["candidates"], document["unit"]
    name = f"{figures.similarity_name(candidates[0])} with the reference"
    parts = [
        "<h2>Candidates</h2>",
        pareto_plot(candidates, gate, unit),
        f'<p class="dim">Expected latency per {unit} of your rows against the {name}; a circle grows '
        "with the artefact&#39;s size; the dotted line is the Pareto front. Of the candidates that pass the gate, the "
        f"best by {_text(document['objective'])} ships{_ties(document)}.</p>",
        _candidates(candidates, unit),
    ]
    if len(candidates[0]["ms"]) > 1:
        parts += ["<h2>Latency by length</h2>", latency_plot(candidates)]
    return parts


def _ties(document: Document) -> str:
    """Return the rule for candidates that are equally fast; empty for other objectives."""
    if document["objective"] != Objective.LATENCY:
        return ""
    return f"; of those within {EQUAL_LATENCY - 1:.0%} of the fastest, the nearest to the reference"


def _cards(document: Document) -> str:
    before, after = document["bytes_original"] / 1e6, document["bytes_built"] / 1e6
    cards = [(_text(big), small) for big, small in figures.cards(document)]
    if document["expected_ms"]:
        took = f"{document['expected_ms']:.2f} ms"
        cards.append((took, f"expected latency per {document['unit']}"))
    cards += [(f"{before:.1f} → {after:.1f} MB", "size"), (_text(document["version"]), "version")]
    inner = "".join(
        f'<div class="card"><b>{big}</b><span>{_text(s)}</span></div>' for big, s in cards
    )
    return f'<div class="cards">{inner}</div>'


def _candidates(candidates: Sequence[Document], unit: str) -> str:
    lengths = list(candidates[0]["ms"])
    head = [
        "",
        "recipe",
        figures.similarity_name(candidates[0]),
        figures.metric_name(candidates[0]),
        figures.interval(candidates[0])[0],
        "MB",
        f"ms/{unit}",
        *(f"{t} tokens" for t in lengths),
        "load ms",
        "peak MB",
    ]
    rows = []
    for number, c in enumerate(candidates, start=1):
        problems = "".join(f'<div class="problem">{_text(f)}</div>' for f in c["failures"])
        cells = [
            f"{figures.similarity(c):.2%}",
            figures.metric(c),
            figures.interval(c)[1],
            f"{c['bytes'] / 1e6:.1f}",
            f"{c['expected_ms']:.2f}",
            *(f"{c['ms'][t]:.2f}" for t in lengths),
            f"{c['load_ms']:.0f}",
            f"{c['peak_mb']:.0f}",
        ]
        mark = " ✓" if c["chosen"] else ""
        rows.append(
            f'<tr class="{css_class(c)}"><td class="n">{number}</td><td>{_text(c["recipe"])}{mark}{problems}</td>'
            + "".join(f'<td class="n">{cell}</td>' for cell in cells)
            + "</tr>"
        )
    return _table(head, rows, texts=2)


def _processors(processors: Sequence[Document]) -> str:
    rows = []
    for one in processors:
        same = f"{one['same']:.2%}" if one["rows"] else "–"
        rows.append(
            f"<tr><td>{_text(one['name'])}</td><td>{_text(one['how'])}</td><td>{_text(one['verdict'])}</td>"
            f"<td class='n'>{one['rows']}</td><td class='n'>{same}</td></tr>"
        )
    return _table(
        ["processor", "run by", "result", "rows", "agreement with this machine"], rows, texts=3
    )


def _passed_over(document: Document, one: Document) -> str:
    return _text(f"{document['recipe']} ships rather than {one['recipe']}: {one['why']}.")


def _classes(table: Sequence[Document]) -> str:
    rows = []
    # A model may have a hundred labels, so the table has those alone whose accuracy changed.
    changed = [e for e in table if e["built"] != e["original"]]
    for entry in sorted(changed, key=lambda e: e["built"] - e["original"]):
        change = entry["built"] - entry["original"]
        mark = "up" if change > 0 else "down"
        rows.append(
            f"<tr><td>{_text(entry['label'])}</td><td class='n'>{entry['rows']}</td>"
            f"<td class='n'>{entry['original']:.1%}</td><td class='n'>{entry['built']:.1%}</td>"
            f"<td class='n {mark}'>{change:+.1%}</td></tr>"
        )
    same = f"<p>{len(table) - len(changed)} of {len(table)} labels have the reference&#39;s accuracy.</p>"
    head = ["label", "rows", "reference", "artefact", "change"]
    return same + (_table(head, rows, texts=1) if rows else "")


def _changed(flips: Sequence[Document]) -> str:
    rows = []
    for flip in flips:
        value = flip["request"]["inputs"][0]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        # Green if the artefact alone is right, red if the reference alone is; no colour if neither or without a label.
        verdict = {flip["right"] == flip["built"]: "up", flip["right"] == flip["original"]: "down"}
        mark = verdict.get(True, "") if flip["right"] is not None else ""
        rows.append(
            f"<tr><td>{_text(text[:300])}</td><td>{_text(flip['right'] if flip['right'] is not None else '–')}</td>"
            f"<td>{_text(flip['original'])}</td><td class='{mark}'>{_text(flip['built'])}</td></tr>"
        )
    return _table(["input", "label", "reference", "artefact"], rows, texts=4)


def _table(head: Sequence[str], rows: Sequence[str], *, texts: int) -> str:
    """Return a table; its first `texts` columns are aligned as text, the others as numbers."""
    names = "".join(
        f"<th{'' if i < texts else ' class=n'}>{_text(name)}</th>" for i, name in enumerate(head)
    )
    return f'<div class="wide"><table><tr>{names}</tr>{"".join(rows)}</table></div>'


def _tools(document: Document) -> str:
    tools = ", ".join(f"{name} {version}" for name, version in document["toolchain"].items())
    seconds = ", ".join(f"{name} {took:g} s" for name, took in document["seconds"].items())
    return f'<h2>Build</h2><p class="dim">{_text(seconds)}.</p><p class="dim">{_text(tools)}.</p>'
