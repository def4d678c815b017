"""One contender in its process: `python -m benchmarks.contenders.worker MODULE:FUNCTION SETTING`.

It reports in a line of JSON that it is ready, and then answers each line: {"time": [item, ...], "repeats": n} with the
milliseconds of one pass over the items for each repetition, {"read": [item, ...]} with its answer to each. With
"together", they are one run, whose answer is a vector of each.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import IO, Any

from benchmarks.contenders import Item, Opened, Setting

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def main(opens: str, setting: Setting) -> None:
    output = _own_output()
    module, function = opens.split(":")
    opened: Opened = getattr(importlib.import_module(f"benchmarks.contenders.{module}"), function)(
        setting
    )
    items = [Item.of(json.loads(line)) for line in setting.items.read_text("utf-8").splitlines()]
    _write(output, ready=True, version=opened.version)
    for line in sys.stdin:
        request = json.loads(line)
        if "time" in request:
            picked: list[Any] = [items[i] for i in request["time"]]
            picked = [picked] if request["together"] else picked
            _write(output, ms=_timed(opened, picked, request["repeats"], CLOCKS[setting.clock]))
        elif request["together"]:
            _write(output, read=opened.run([items[i] for i in request["read"]]))
        else:
            _write(output, read=[_read(opened, items[i]) for i in request["read"]])


def _timed(
    opened: Opened, items: list[Any], repeats: int, clock: Callable[[], float]
) -> list[float]:
    prepared = [opened.prepare(item) for item in items]
    took = []
    for _ in range(repeats):
        start = clock()
        for one in prepared:
            opened.run(one)
        took.append((clock() - start) * 1e3)
    return took


def _read(opened: Opened, item: Item) -> list[int]:
    return [int(value) for value in opened.read(opened.run(opened.prepare(item)))]


def _own_output() -> IO[str]:
    """Return standard output, reserved for this protocol: prints of libraries go to standard error."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


def _write(output: IO[str], **values: Any) -> None:
    output.write(json.dumps(values) + "\n")
    output.flush()


if __name__ == "__main__":
    main(sys.argv[1], Setting.of(json.loads(sys.argv[2])))
