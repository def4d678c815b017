"""How long candidates take, side by side: each in a process of its own, asked in turn, round after round.

Machines are shared and their speed drifts, so what counts is the comparison within one build.
"""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from build.proof.worker_client import Worker
from build.workspace.progress import Notify, counted, silent
from contracts.prediction import PredictRequest

ROUNDS, REPEATS = 5, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Milliseconds by the number of tokens of a request (medians over rounds), to load, and the peak memory in MB.

    Of a model that writes they are those of a new token, the reading of the prompt shared among all of them.
    """

    ms: Mapping[int, float]
    load_ms: float
    peak_mb: float


UNTIMED = Timing(ms={}, load_ms=0.0, peak_mb=0.0)


def time_all(
    folders: Sequence[Path],
    requests: Mapping[int, PredictRequest],
    threads: int,
    notify: Notify = silent,
) -> list[Timing]:
    """The timing of each artefact, in the order of the folders; `requests` are by their number of tokens."""
    took: list[dict[int, list[float]]] = [{tokens: [] for tokens in requests} for _ in folders]
    peaks = [0.0] * len(folders)
    with ExitStack() as stack:
        workers, loads = [], []
        for folder in folders:  # one after the other, so that each loads undisturbed
            workers.append(stack.enter_context(Worker(folder, threads)))
            loads.append(workers[-1].ready())
        for _ in counted(range(ROUNDS + 1), notify, "round"):
            for tokens, request in requests.items():
                for i, worker in enumerate(workers):
                    heard = worker.ask(request, repeats=REPEATS)
                    took[i][tokens].append(statistics.median(heard["ms"]) / heard["units"])
                    peaks[i] = heard["peak_mb"]
    return [_timing(*one) for one in zip(took, loads, peaks, strict=True)]


def _timing(took: Mapping[int, list[float]], load_ms: float, peak_mb: float) -> Timing:
    """Medians over the rounds; the first of them, which warms caches, does not count."""
    ms = {tokens: round(statistics.median(rounds[1:]), 4) for tokens, rounds in took.items()}
    return Timing(ms=ms, load_ms=round(load_ms, 1), peak_mb=round(peak_mb, 1))
