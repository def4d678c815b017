"""The evidence page: what a reader of stored evidence finds on it."""

import html
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from build.report.page import report, write_report
from stacks.weights.proved import RECORD
from tests.build.report.test_cascade import MADE
from tests.fixtures.evidence import classifier_evidence


class Outline(HTMLParser):
    """The headings of a page, its tables by rows of cells, and every address in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self.tag = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tag = tag
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag in ("h1", "h2"):
            self.headings.append("")

    def handle_data(self, data: str) -> None:
        if self.tag in ("td", "th"):
            self.rows[-1][-1] += data
        elif self.tag in ("h1", "h2"):
            self.headings[-1] += data
        elif self.tag == "div" and self.rows and self.rows[-1]:
            self.rows[-1][-1] += f" ({data})"


@pytest.fixture(scope="module")
def page() -> str:
    return report([classifier_evidence()], 0.98)


def test_it_goes_from_the_figures_to_the_candidates_to_the_answers_that_changed(page: str) -> None:
    assert Outline(page).headings == [
        "support-intent",
        "cpu: int8 smoothed",
        "Candidates",
        "Latency by length",
        "Processors",
        "Accuracy by label",
        "Answers that changed",
        "Build",
    ]


def test_it_loads_nothing_and_runs_nothing(page: str) -> None:
    assert Outline(page).addresses == []
    assert "<script" not in page
    assert "url(" not in page


def test_each_candidate_is_a_row_with_its_interval_and_the_problem_that_rejected_it(
    page: str,
) -> None:
    rows = Outline(page).rows
    assert rows[0][:5] == ["", "recipe", "agreement", "accuracy", "difference, 95 % interval"]
    assert rows[3][1] == "int8 per tensor (same answer on 0.9548, below min_agreement 0.98)"
    assert rows[5][:5] == ["5", "int8 smoothed ✓", "99.00%", "83.67%", "-0.50% to +1.51%"]
    assert page.count("<circle") == 5
    assert "gate 98.0%" in page


def test_the_page_names_both_sides_of_the_measurement(page: str) -> None:
    text = html.unescape(page)
    assert (
        "The artefact's accuracy minus the reference's lies between -0.50% and +1.51% (95 % interval, paired "
        "bootstrap), measured on your labels. It gives the reference's answer to between 97.44% and 99.61% of such "
        "rows (95 % interval, Wilson)."
    ) in text
    assert "running the reference 9.39 s" in page


def test_rows_without_labels_are_compared_with_the_reference_alone() -> None:
    page = report([classifier_evidence(reference="original")], 0.98)
    assert "your rows have no labels, so the reference&#x27;s answers count as correct" in page


def test_a_processor_that_was_not_checked_has_no_agreement() -> None:
    seen: list[dict[str, Any]] = [
        {"name": "x86", "how": "emulated", "rows": 60, "same": 0.95, "verdict": "below 0.98"},
        {"name": "arm64", "how": "not run", "rows": 0, "same": 0.0, "verdict": "not checked"},
    ]
    rows = Outline(report([classifier_evidence(processors=seen)], 0.98)).rows
    assert ["x86", "emulated", "below 0.98", "60", "95.00%"] in rows
    assert ["arm64", "not run", "not checked", "0", "–"] in rows


def test_the_page_says_which_library_has_checked_the_reading() -> None:
    page = report([classifier_evidence()], 0.98)
    assert "In full precision, all 398 rows are answered as by transformers 5.24.0" in page
    assert (
        "the answer to 1 of them differs, where the library prefers its own by less than 0.001"
        in page
    )
    unread = {"libraries": {}, "why": "no second reader of a TFLite is at hand"}
    page = report([classifier_evidence(reading=unread)], 0.98)
    assert "Reading not independently checked: no second reader of a TFLite is at hand." in page


def test_the_page_has_the_reason_why_another_ships_and_escapes_html() -> None:
    over = [{"recipe": "int8 full range", "why": "on <that>: same answer as here 0.95"}]
    page = report([classifier_evidence(passed_over=over)], 0.98)
    assert (
        "int8 smoothed ships rather than int8 full range: on &lt;that&gt;: same answer as here"
        in page
    )


def test_truncated_evidence_of_another_tier_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence/cpu.json").write_text(json.dumps(classifier_evidence()), "utf-8")
    (tmp_path / "evidence/gpu.json").write_text('{"model": ', "utf-8")
    write_report(tmp_path, 0.98)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "cpu: int8 smoothed" in Outline(page).headings
    assert not [heading for heading in Outline(page).headings if heading.startswith("gpu")]


def test_the_record_of_an_endpoint_beside_the_evidence_is_no_part_of_the_page(
    tmp_path: Path,
) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence/cpu.json").write_text(json.dumps(classifier_evidence()), "utf-8")
    record = {"holds": True, "model": "chat", "version": "0" * 12, "rows": 4}
    (tmp_path / "evidence" / RECORD).write_text(json.dumps(record), "utf-8")
    write_report(tmp_path, 0.98)
    headings = Outline((tmp_path / "report.html").read_text("utf-8")).headings
    assert [heading.split(":")[0] for heading in headings if ":" in heading] == ["cpu"]


def test_it_says_first_that_no_row_is_the_users_where_all_are_the_samples(page: str) -> None:
    sampled = report([{**classifier_evidence(), "sample": True}], 0.98)
    assert "<p>Agreement on sample rows only" in sampled
    assert sampled.index("sample rows") < sampled.index("95 % interval")
    assert "sample rows" not in page


def test_a_calibration_of_these_artefacts_is_linked_with_its_threshold(page: str) -> None:
    evidence = [classifier_evidence(version=digest * 12) for digest in "cd"]
    linked = report(evidence, 0.98, MADE)
    assert Outline(linked).addresses == ["cascade.html"]
    assert "kept from a confidence of 0.8000 on, 60.0% of them" in linked
    # Of weights that were pushed there is no evidence of a build.
    assert "kept from a confidence of 0.8000 on" in report(evidence[:1], 0.98, MADE)
    assert Outline(page).addresses == []


def test_a_calibration_of_other_artefacts_is_linked_as_off() -> None:
    linked = report([classifier_evidence(version="e" * 12)], 0.98, MADE)
    assert Outline(linked).addresses == ["cascade.html"]
    assert "off, since it was calibrated with other artefacts" in linked


def test_a_calibration_that_is_broken_is_not_linked(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence/cpu.json").write_text(json.dumps(classifier_evidence()), "utf-8")
    for text, linked in ((MADE.sealed().to_json(), ["cascade.html"]), ("{}", [])):
        (tmp_path / "calibration.json").write_text(text, "utf-8")
        write_report(tmp_path, 0.98)
        assert Outline((tmp_path / "report.html").read_text("utf-8")).addresses == linked


def test_there_is_no_page_without_evidence(tmp_path: Path) -> None:
    write_report(tmp_path, 0.98)
    assert list(tmp_path.iterdir()) == []
