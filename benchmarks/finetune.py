"""Fine-tune MiniLM on a public data set, as the example is: the models of the accuracy benchmarks.

`python -m benchmarks.finetune sst2 --data DIR --out FOLDER` writes a Hugging Face folder and, beside it, `eval.jsonl`
with rows not seen in training: SST-2's dev and labelled test together, Banking77's test.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.public_sets import banking77, sst2_evaluation, sst2_training
from examples import weights
from examples.rows import Row
from examples.train import TRAININGS, accuracy, train

SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Rows for training and evaluation, their number, and the number of epochs."""

    training: Callable[[Path], list[Row]]
    evaluation: Callable[[Path], list[Row]]
    rows: int
    epochs: int
    rate: float


SETS = {
    "sst2": Recipe(
        training=sst2_training, evaluation=sst2_evaluation, rows=10_000, epochs=2, rate=1e-4
    ),
    "banking77": Recipe(
        training=lambda data: banking77(data, "train"),
        evaluation=lambda data: banking77(data, "test"),
        rows=10_003,
        epochs=5,
        rate=2e-4,
    ),
}


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    lines = [json.dumps({"text": row.text, "label": row.label}, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetune", description=__doc__)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--rows", type=int, help="training rows")
    parser.add_argument("--epochs", type=int)
    args = parser.parse_args()
    weights.ensure(weights.MINILM)
    recipe = SETS[args.set]
    rows, test = recipe.training(args.data), recipe.evaluation(args.data)
    # Banking77's file is sorted by class, so a part of it would lack some.
    random.Random(SEED).shuffle(rows)
    rows = rows[: args.rows or recipe.rows]
    labels = sorted({row.label for row in rows})
    start = time.perf_counter()
    # All layers, so that the models are as good as such a model gets; the example only has to be trained fast.
    training = replace(
        TRAININGS["minilm"],
        epochs=args.epochs or recipe.epochs,
        rate=recipe.rate,
        frozen_layers=0,
        in_bfloat16=True,
    )
    model, tokenizer = train(rows, labels, training)
    took = time.perf_counter() - start
    model.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    write_rows(args.out / "eval.jsonl", test)
    print(f"{took:.0f} s; right on {accuracy(model, tokenizer, test, labels):.2%} of {len(test)}")


if __name__ == "__main__":
    main()
