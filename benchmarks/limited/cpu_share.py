"""Latency of a graph with a share of the CPUs, by the number of threads and by whether they spin.

`python -m benchmarks.limited.cpu_share models.out/support-intent/cpu` prints a line for each share; needs root, and
control groups of version 1.
"""

import json
import statistics
import sys
import time
from pathlib import Path

from benchmarks.limited.control_group import cpu_share, group, run_in

# As a function of so many MB has.
SHARES = {2048: 2048 / 1769, 2653: 1.5, 3008: 3008 / 1769, 3537: 3537 / 1769}
CASES = ((1, True), (2, True), (2, False))
TOKENS, RUNS, ROUNDS = (16, 128), 15, 3
# Seconds between runs: of requests that come one by one, and of a long one, such as a batch or a generated text.
PAUSES = {"one by one": 0.03, "sustained": 0.0}


def measure(model: Path, threads: int, spins: bool, pause_s: float) -> dict[int, list[float]]:
    """Return the milliseconds of each run of a graph by the tokens of its input."""
    import numpy as np
    import onnxruntime as ort

    from contracts.manifest import kernels_in
    from functions.inference.session import options

    chosen = options(threads)
    chosen.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    if kernels := kernels_in(model.parent):
        chosen.register_custom_ops_library(str(kernels.absolute()))
    session = ort.InferenceSession(str(model), chosen, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    took: dict[int, list[float]] = {}
    for tokens in TOKENS:
        values = {"input_ids": 100, "attention_mask": 1, "token_type_ids": 0}
        feeds = {name: np.full((1, tokens), values[name], np.int64) for name in names}
        session.run(None, feeds)
        took[tokens] = []
        for _ in range(RUNS):
            time.sleep(pause_s)
            start = time.perf_counter()
            session.run(None, feeds)
            took[tokens].append((time.perf_counter() - start) * 1e3)
    return took


def main() -> None:
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        count, spinning, pause = sys.argv[2:]
        model = folder / "model.onnx"
        print(json.dumps(measure(model, int(count), spinning == "spins", float(pause))))
        return
    for memory_mb, vcpus in SHARES.items():
        for load, pause_s in PAUSES.items():
            with group("cpu", cpu_share(vcpus)) as limited:
                took = rounds(folder, limited, pause_s)
            for (threads, spins), of_tokens in took.items():
                cells = [
                    f"{tokens} tokens p50 {statistics.median(of):6.2f} p95 {sorted(of)[int(len(of) * 0.95)]:6.2f} ms"
                    for tokens, of in of_tokens.items()
                ]
                how = "spinning" if spins else "waiting "
                where = f"{memory_mb} MB {vcpus:.2f} vCPU, {load}, {threads} threads {how}"
                print(f"{where}: {', '.join(cells)}", flush=True)


def rounds(
    folder: Path, limited: Path, pause_s: float
) -> dict[tuple[int, bool], dict[str, list[float]]]:
    """Return the milliseconds of all runs of each case, in turn: a slow minute of the machine is one of all cases."""
    took: dict[tuple[int, bool], dict[str, list[float]]] = {case: {} for case in CASES}
    for _ in range(ROUNDS):
        for threads, spins in CASES:
            words = (str(threads), "spins" if spins else "waits", str(pause_s))
            command = [sys.executable, "-m", "benchmarks.limited.cpu_share", str(folder), *words]
            for tokens, of in json.loads(run_in([limited], command)).items():
                took[threads, spins].setdefault(tokens, []).extend(of)
    return took


if __name__ == "__main__":
    main()
