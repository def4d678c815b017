"""Tables of the results of several processors, and where each stands."""

import json
from pathlib import Path

from benchmarks.tables import filled, of_processors


def result(folder: Path, name: str, date: str, cpu: str, time: str = "12:00") -> None:
    document = {
        "name": name,
        "date": date,
        "time": time,
        "commit": "c",
        "machine": {"cpu": cpu, "cores": 2},
        "rows": [{"what": cpu, "ms": 1}],
    }
    (folder / f"{name}.json").write_text(json.dumps(document), "utf-8")


def marked(kind: str) -> str:
    return f"before\n<!-- {kind}: speed_1 -->\nold\n<!-- end -->\nafter\n"


def test_the_newest_result_stands_alone_and_the_others_beside_it(tmp_path: Path) -> None:
    result(tmp_path, "speed_1_old", "2026-11-01", "Old")
    result(tmp_path, "speed_1_morning", "2026-11-27", "Morning", "08:00")
    result(tmp_path, "speed_1_noon", "2026-11-27", "Noon", "12:30")
    result(tmp_path, "speed_2_noon", "2026-11-28", "Two")
    assert [r["machine"]["cpu"] for r in of_processors("speed_1", tmp_path)] == [
        "Noon",
        "Morning",
        "Old",
    ]
    newest, older = (filled(marked(kind), tmp_path) for kind in ("newest", "older"))
    assert "| Noon | 1 |" in newest
    assert "Morning" not in newest
    assert older.index("| Morning | 1 |") < older.index("| Old | 1 |")
    assert "Noon" not in older
    assert "Two" not in newest + older
    assert "old\n" not in newest + older


def test_without_results_of_any_processor_nothing_stands_there(tmp_path: Path) -> None:
    for kind in ("all", "newest", "older"):
        assert filled(marked(kind), tmp_path) == (
            f"before\n<!-- {kind}: speed_1 -->\n<!-- end -->\nafter\n"
        )


def test_a_table_that_is_made_again_is_the_same(tmp_path: Path) -> None:
    result(tmp_path, "speed_1_old", "2026-11-01", "Old")
    result(tmp_path, "speed_1_new", "2026-11-02", "New")
    once = filled(marked("all"), tmp_path)
    assert filled(once, tmp_path) == once
    assert once.count("| what | ms |") == 2
