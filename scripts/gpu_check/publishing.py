"""`python -m scripts.gpu_check.publishing RESULT`: make of a result file the results that docs/gpu.md's tables have."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.record import Row, publish


def tables(document: Mapping[str, Any]) -> dict[str, list[Row]]:
    """Return the rows of each table by its name; one of what was not measured has none."""
    every: Mapping[str, Mapping[str, Any]] = document["precisions"]
    measured = {name: one for name, one in every.items() if "unavailable" not in one}
    batching = [row for one in measured.values() for row in one.get("batching", ())]
    return {
        "gpu_answers": [_answers(name, one) for name, one in measured.items()],
        "gpu_times": _times(measured),
        "gpu_batching": batching,
        "gpu_serving": list(document.get("server", {}).get("callers", ())),
    }


def _answers(name: str, one: Mapping[str, Any]) -> Row:
    return {
        "precision": name,
        "golden rows": one["rows"],
        one["similarity_name"].replace("here", "on the processor"): one["similarity"],
        "largest difference of an output": f"{one['largest_difference']:.1e}",
        "a row, ms": one["row_ms"],
        "GPU memory in use, MB": one["memory_mb"],
    }


def _times(measured: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return the milliseconds of each precision by length and batch, and the texts a second of the first."""
    cells: dict[tuple[int, int], Row] = {}
    for name, one in measured.items():
        for time in one["times"]:
            key = (time["tokens"], time["batch"])
            row = cells.setdefault(key, {"tokens": key[0], "texts": key[1]})
            row[f"{name}, ms"] = time["ms"]
            row[f"{name}, texts a second"] = time["texts/s"]
    return list(cells.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.gpu_check.publishing", description=__doc__
    )
    parser.add_argument("result", type=Path, help="gpu_check/MODEL-DATE.json")
    document = json.loads(parser.parse_args().result.read_text("utf-8"))
    facts = {key: document[key] for key in ("date", "commit", "machine", "gpu", "onnxruntime")}
    command = f"scripts.gpu_check {document['model']}"
    for name, rows in tables(document).items():
        if rows:
            publish(name, rows, **facts, command=command)


if __name__ == "__main__":
    main()
