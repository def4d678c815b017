"""The cascade on public data: `python -m benchmarks.routing --data DIR --large FOLDER --work DIR [SET ...]`.

Two encoders are fine-tuned on each set, built as the tiers of one model, and run on the rows of its own evaluation.
FOLDER is all-mpnet-base-v2 as a Hugging Face folder; the first DIR holds the sets. What is in the work folder is not
made again, so the figures alone take seconds.
"""

import argparse
from pathlib import Path

from benchmarks.record import Row, publish
from benchmarks.routing.answers import INSTANCE, Answered, answered, build
from benchmarks.routing.costs import loads
from benchmarks.routing.models import KINDS, make_model, write_parts
from benchmarks.routing.sets import SETS, parts
from benchmarks.routing.tables import bound_rows, cost_rows, model_row, router_rows
from contracts.tasks import Tier
from examples import weights
from stacks.scaling.traces import read_trace

COMMAND = "benchmarks.routing --data DIR --large FOLDER --work DIR"
TRACE = "azure-llm-2023/AzureLLMInferenceTrace_conv.csv"
# Not measured, since nothing here has a GPU: milliseconds that a request of the large model keeps one busy, and the
# requests at each arrival at which one copy is not enough then.
GPU_MS, MANY = 10.0, 200


def made(name: str, data: Path, large: Path, work: Path) -> Answered:
    """Return the answers to a set's rows by both artefacts, made where they are missing."""
    text_set = SETS[name]
    of = parts(text_set, data)
    write_parts(of, work / name)
    for tier, pretrained in ((Tier.CPU, weights.TARGET), (Tier.GPU, large)):
        make_model(tier, pretrained, of, text_set.epochs, work / name / tier)
    build(work, name)
    return answered(work, name)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description=__doc__)
    parser.add_argument(
        "sets", nargs="*", choices=[*SETS, []], metavar="SET", help="all by default"
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--large", type=Path, required=True, help="the large model's weights")
    parser.add_argument("--work", type=Path, required=True, help="what is made, and kept")
    args = parser.parse_args()
    weights.ensure(weights.MINILM)
    found = {
        SETS[name].title: made(name, args.data, args.large, args.work.resolve())
        for name in args.sets or SETS
    }
    rates = loads(read_trace(args.data / TRACE), MANY)
    models: list[Row] = [model_row(title, one) for title, one in found.items()]
    routers = [row for title, one in found.items() for row in router_rows(title, one)]
    bounds = [row for title, one in found.items() for row in bound_rows(title, one)]
    costs = [row for load in rates for row in cost_rows(load, found, GPU_MS)]
    facts = {
        "command": COMMAND,
        "small": KINDS[Tier.CPU].title,
        "large": KINDS[Tier.GPU].title,
        "cpu_ms": {title: round(one.cpu_ms, 2) for title, one in found.items()},
        "gpu_ms": GPU_MS,
        "instance": INSTANCE,
    }
    for name, rows in {
        "routing_models": models,
        "routing": routers,
        "routing_bound": bounds,
        "routing_cost": costs,
    }.items():
        publish(name, rows, **facts)


if __name__ == "__main__":
    main()
