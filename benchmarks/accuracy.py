"""Effect of quantization on the answers of two classifiers on public data: every candidate of a build, with intervals.

`python -m benchmarks.finetune` makes the models, `turnout build` their evidence: `--out` is the folder that it wrote,
with a model named sst2 and one named banking77. No row was seen in training.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.record import Row, publish

MODELS = ("sst2", "banking77")
# The one that anybody gets who quantizes by a single call of ONNX Runtime.
NAIVE = "int8 per tensor"


def row(model: str, document: dict[str, Any], candidate: dict[str, Any]) -> Row:
    marks = {NAIVE: "plain ONNX Runtime"} | (
        {candidate["recipe"]: "ships"} if candidate["chosen"] else {}
    )
    return {
        "model": f"{model}, {document['rows']} rows",
        "candidate": candidate["recipe"],
        "": marks.get(candidate["recipe"], ""),
        "same label": f"{candidate['agreement']:.2%}",
        "95 %": f"{candidate['agreement_low']:.2%} to {candidate['agreement_high']:.2%}",
        "accuracy": f"{candidate['metric_built']:.2%}",
        "minus the original's": (
            f"{candidate['difference_low']:+.2%} to {candidate['difference_high']:+.2%}"
        ),
        "MB": round(candidate["bytes"] / 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder of built artefacts")
    out = parser.parse_args().out
    rows: list[Row] = []
    for model in MODELS:
        document = json.loads((out / model / "evidence/cpu.json").read_text("utf-8"))
        rows += [row(model, document, candidate) for candidate in document["candidates"]]
    publish("accuracy", rows)


if __name__ == "__main__":
    main()
