"""The preparation of the table of encoders: environments, graphs, and every contender's answers.

None of it depends on who else uses the machine. What others' contenders are made of, and their answers, are kept in the
scratch folder; ours are made anew, since our code changes.
"""

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from benchmarks.contenders import CANDIDATES, ENCODERS, OURS, REQUEST, Contender, Item
from benchmarks.contenders.environments import PROJECT, set_up
from benchmarks.contenders.process import Failed
from benchmarks.inference.candidates import make_candidates, opens
from benchmarks.inference.taking_turns import ITEMS, opened_process, report, setting_of, write_items
from contracts.manifest import read_manifest

PREPARED = "prepared.json"
Answers = list[list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The answers of each contender to the first rows, and the reasons why others are missing.

    `artefact` is the version that was asked, and `recipe` what its build chose.
    """

    artefact: str
    recipe: str
    answers: Mapping[str, Answers]
    missing: Mapping[str, str]

    @classmethod
    def read(cls, scratch: Path, version: str) -> Self:
        """Read what was prepared; raise SystemExit if nothing was, or for another version of the artefact."""
        path = scratch / PREPARED
        if not path.exists():
            raise SystemExit(f"{path} is missing: run `prepare` with the same paths first")
        found = cls(**json.loads(path.read_text("utf-8")))
        if found.artefact != version:
            raise SystemExit(f"{found.artefact} was prepared, not {version}: run `prepare` again")
        return found

    @property
    def contenders(self) -> list[Contender]:
        """Return those that answered."""
        return [each for each in ENCODERS if each.name in self.answers]


def prepare(
    args: Namespace, items: Sequence[Item], workloads: Mapping[str, Sequence[int]], rows: int
) -> None:
    """Have every contender answer the first rows, and run each workload once on each number of threads.

    Raise SystemExit if ours does not.
    """
    environments = {each.environment for each in ENCODERS} - {PROJECT}
    set_up(args.envs, tuple(sorted(environments)), report)
    path = write_items(args.scratch / ITEMS, items)
    report("making our candidates")
    make_candidates(args.scratch, items[:rows])
    manifest = read_manifest(args.artefact)
    answers: dict[str, Answers] = {}
    missing: dict[str, str] = {}
    for contender in contenders_beside(manifest.recipe):
        report(f"preparing {contender.name}")
        try:
            answers[contender.name] = _answers(contender, args, path, workloads, rows)
        except (Failed, FileNotFoundError) as error:
            report(f"left out: {error}")
            missing[contender.name] = str(error)
    if OURS in missing:
        raise SystemExit(missing[OURS])
    prepared = Prepared(
        artefact=manifest.version, recipe=manifest.recipe, answers=answers, missing=missing
    )
    (args.scratch / PREPARED).write_text(json.dumps(asdict(prepared)), "utf-8")


def contenders_beside(recipe: str) -> list[Contender]:
    """Return all contenders but the candidate that the build chose, which runs as ours already."""
    return [each for each in ENCODERS if not (each in CANDIDATES and opens(each) == recipe)]


def _answers(
    contender: Contender,
    args: Namespace,
    items: Path,
    workloads: Mapping[str, Sequence[int]],
    rows: int,
) -> Answers:
    """Return a contender's answers, those of a preparation before if nothing of ours is in it."""
    known: Path = args.scratch / f"{contender.opens.replace(':', '-')}-{rows}.json"
    ours = contender.name in (OURS, REQUEST) or contender in CANDIDATES
    kept: Answers = json.loads(known.read_text("utf-8")) if known.exists() and not ours else []
    for threads in args.threads:
        with opened_process(contender, setting_of(args, items, threads), args.envs) as process:
            process.ready()
            for workload in workloads.values():
                process.time(workload, 1)
            kept = kept or process.read(range(rows))
    known.write_text(json.dumps(kept), "utf-8")
    return kept
