"""Latency of a graph with a share of the CPUs, by the number of threads and by whether they spin.

`python -m benchmarks.limited.cpu_share models.out/support-intent/cpu` prints a line for each share; needs root, and
control groups of version 1.
"""

import json
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.limited.control_group import cpu_share, group, run_in

# As a function of so many MB has.
SHARES = {2048: 2048 / 1769, 2653: 1.5, 3008: 3008 / 1769, 3537: 3537 / 1769}
CASES = ((1, True), (2, True), (2, False))
TOKENS, RUNS, ROUNDS = (16, 128), 15, 3
# A request seldom comes at once after the one before.
PAUSE_S = 0.03


def measure(model: Path, threads: int, spins: bool) -> dict[int, list[float]]:
    """Return the milliseconds of each run of a graph by the tokens of its input."""
    import numpy as np
    import onnxruntime as ort

    from functions.inference.session import options

    chosen = options(threads)
    chosen.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    session = ort.InferenceSession(str(model), chosen, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    took: dict[int, list[float]] = {}
    for tokens in TOKENS:
        values = {"input_ids": 100, "attention_mask": 1, "token_type_ids": 0}
        feeds = {name: np.full((1, tokens), values[name], np.int64) for name in names}
        session.run(None, feeds)
        took[tokens] = []
        for _ in range(RUNS):
            time.sleep(PAUSE_S)
            start = time.perf_counter()
            session.run(None, feeds)
            took[tokens].append((time.perf_counter() - start) * 1e3)
    return took


def main() -> None:
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        print(json.dumps(measure(folder / "model.onnx", int(sys.argv[2]), sys.argv[3] == "spins")))
        return
    for memory_mb, vcpus in SHARES.items():
        took: defaultdict[tuple[int, bool], defaultdict[str, list[float]]]
        took = defaultdict(lambda: defaultdict(list))
        with group("cpu", cpu_share(vcpus)) as limited:
            # In turn, so that a slow minute of the machine is one of all cases.
            for _ in range(ROUNDS):
                for threads, spins in CASES:
                    words = (str(threads), "spins" if spins else "waits")
                    command = [sys.executable, "-m", "benchmarks.limited.cpu_share", str(folder)]
                    found = json.loads(run_in([limited], [*command, *words]))
                    for tokens, of in found.items():
                        took[threads, spins][tokens] += of
        for (threads, spins), of_tokens in took.items():
            cells = [
                f"{tokens} tokens p50 {statistics.median(of):6.2f} p95 {sorted(of)[int(len(of) * 0.95)]:6.2f} ms"
                for tokens, of in of_tokens.items()
            ]
            how = "spinning" if spins else "waiting "
            print(f"{memory_mb} MB {vcpus:.2f} vCPU, {threads} threads {how}: {', '.join(cells)}")


if __name__ == "__main__":
    main()
