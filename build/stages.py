"""The stages of a build: each takes a workspace and returns one with its results added.

Tiers of one source share the source's stages. Results are kept in a cache, so that an interrupted build continues where
it was.
"""

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from build.errors import SourceError
from build.evaluation.agreement import told_by_scores
from build.evaluation.gate import gate_failed
from build.evaluation.metrics import Outputs
from build.exported_graphs import export_graphs
from build.families.family import Family
from build.families.registry import family_of
from build.library_errors import MAKING_CANDIDATE, RUNNING_REFERENCE, naming_source
from build.proof import ranking
from build.proof.candidate import Candidate
from build.proof.native_run import run_on_rows
from build.proof.portability import first_portable
from build.proof.processors import Processor, all_unavailable, processor_name
from build.proof.sealing import digest_of_parts, seal
from build.proof.timing import Timing, time_all
from build.reading.check import Reading, check, unchecked_reason
from build.reading.library import library
from build.reading.outputs import Margins, Reference
from build.recipes.recipe import Recipe
from build.samples.facts import only_sample_rows
from build.samples.texts import sample_texts
from build.sources.gguf.source import library_folder
from build.sources.source import GraphSource, TableSource
from build.step import Step
from build.workspace.build_memory import release_memory
from build.workspace.cache import Cache
from build.workspace.progress import Notify, silent
from contracts.http_errors import ModelFailed
from contracts.problems import Code, Problem
from contracts.tasks import Tier
from functions.inference.session import threads_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The results of a build so far.

    `prepared` is the folder of the exported graphs. `margins` and `libraries` are the reference's
    (`build.reading.outputs`), `reading` is the check by it; `uninformative` is why the rows compare nothing.
    `processors` are those that candidates are checked on besides this machine's.
    `processor_results` are the results of the candidate that ships on each processor. `seconds` are the durations of
    the stages; `notify` is called with what is at work within one.
    """

    folder: Path
    step: Step
    cache: Cache
    processors: tuple[Processor, ...]
    prepared: Path = Path()
    reference: tuple[Outputs, ...] = ()
    margins: tuple[Sequence[Margins], ...] = ()
    libraries: dict[str, str] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    uninformative: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    chosen: Candidate | None = None
    processor_results: tuple[dict[str, Any], ...] = ()
    passed_over: tuple[dict[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    notify: Notify = silent

    @property
    def family(self) -> Family[Any, Any]:
        return family_of(self.step.source)


Stage = Callable[[Workspace], Workspace]


def export_stage(work: Workspace) -> Workspace:
    """Export the source to ONNX graphs in full precision, from which every candidate is made."""
    if not isinstance(work.step.source, GraphSource | TableSource):
        # Its libraries are imported meanwhile.
        library().expect(work.step.task.name)
    return replace(work, prepared=export_graphs(work.step, work.cache, work.notify))


def reference_stage(work: Workspace) -> Workspace:
    """Run the reference on the rows; raise SourceError if its numbers are not finite."""
    step = work.step

    def run_reference() -> Any:
        with naming_source(step.source, work.folder, RUNNING_REFERENCE):
            try:
                found = work.family.reference(step.source, step.rows, work.prepared, work.notify)
                return asdict(found)
            except ModelFailed as error:
                message = (
                    "the reference answers with numbers that are not finite; look for NaN in its weights and save it "
                    "again"
                )
                raise SourceError.about(step.name, Code.WEIGHTS_NOT_FINITE, message) from error

    found = work.cache.value(
        run_reference, "reference", rows=step.rows_digest, **step.read_by, **step.made_from
    )
    return replace(
        work,
        reference=tuple(map(tuple, found["outputs"])),
        margins=tuple(found["margins"]),
        libraries=found["libraries"],
    )


def reading_stage(work: Workspace) -> Workspace:
    """Check that a candidate in full precision answers every row as the library does; raise ReadingDiffers."""
    step = work.step
    if not work.libraries:
        return replace(work, reading=Reading(why=unchecked_reason(step.source)))
    recipe = work.family.recipes(step.source, step.tier, False)[0]
    parts, made_from = _make_parts(work, recipe)
    reference = Reference(outputs=work.reference, margins=work.margins, libraries=work.libraries)

    def check_reading() -> Any:
        with tempfile.TemporaryDirectory(dir=work.folder) as scratch:
            folder = Path(scratch) / "full-precision"
            seal(folder, step, recipe, parts, work.reference)
            given = library_folder(step.source, work.prepared)
            assert given
            texts = [each.text for each in sample_texts()]
            return asdict(check(step.name, folder, given, step.rows, reference, work.notify, texts))

    found = work.cache.value(
        check_reading,
        "reading",
        rows_run=step.rows_digest,
        on=processor_name(),
        **step.read_by,
        **made_from,
    )
    return replace(work, reading=replace(Reading(**found), why=unchecked_reason(step.source)))


def rows_stage(work: Workspace) -> Workspace:
    """Check that the reference's answers on the rows compare something; raise SourceError unless the user goes on.

    The rows of the sample are none of the user's, and prove little whatever the answers: the evidence says so.
    """
    step = work.step
    found = step.comparison.uninformative(work.reference, step.rows)
    allowed = (
        step.gate.allow_uninformative_rows
        or only_sample_rows(step.source, step.rows)
        or told_by_scores(work.reference, step.rows)
    )
    if found and not allowed:
        raise SourceError([_uninformative(step, finding) for finding in found])
    return replace(work, uninformative=tuple(found))


def _uninformative(step: Step, finding: str) -> Problem:
    message = (
        f"{finding}, so the gate compares nothing; check that rows and labels are this model's, give others, or set "
        "allow_uninformative_rows = true under `gate` to go on"
    )
    return Problem(code=Code.ROWS_UNINFORMATIVE, where=f"{step.model}: `eval`", message=message)


def candidates_stage(work: Workspace) -> Workspace:
    """Make each candidate and run it on the rows; a recipe that changes nothing of this model is left out."""
    step = work.step
    made: set[str] = set()
    for recipe in work.family.recipes(step.source, step.tier, step.quantize):
        work.notify(recipe.name)
        candidate = _make_candidate(work, recipe)
        # Recipes that differ in tables or blocks make equal graphs of a model that has none.
        digest = digest_of_parts(candidate.manifest)
        if digest not in made:
            made.add(digest)
            work = replace(work, candidates=(*work.candidates, candidate))
    return work


def _make_parts(work: Workspace, recipe: Recipe) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a candidate's parts, and what they are made from."""
    step = work.step
    made_from = {"recipe": asdict(recipe), **step.made_from}
    # Without calibration, new rows leave the candidate as it is, and only its outputs are computed again.
    if recipe.calibrated:
        made_from["rows"] = step.rows_digest

    def make(folder: Path) -> None:
        folder.mkdir()
        with naming_source(step.source, folder, MAKING_CANDIDATE):
            work.family.make(recipe, step.source, work.prepared, step.rows, folder)
        release_memory()

    return work.cache.file(make, "candidate", **made_from), made_from


def _make_candidate(work: Workspace, recipe: Recipe) -> Candidate:
    step = work.step
    parts, made_from = _make_parts(work, recipe)
    folder = work.folder / f"{step.tier}-{re.sub(r'[^a-z0-9]+', '-', recipe.name)}"
    manifest = seal(folder, step, recipe, parts, work.reference, work.prepared)

    def notify(text: str) -> None:
        work.notify(f"{recipe.name}: {text}")

    # The processor is part of the key, since 8-bit sums and float rounding depend on it.
    built = work.cache.value(
        lambda: run_on_rows(folder, step.rows, work.reference, notify),
        "outputs",
        rows_run=step.rows_digest,
        on=processor_name(),
        **made_from,
    )
    figures = step.comparison.measure(built, work.reference, step.rows)
    return Candidate(
        folder=folder,
        recipe=recipe,
        manifest=manifest,
        outputs=tuple(map(tuple, built)),
        figures=figures,
        problems=tuple(figures.problems(step.gate)),
    )


def timing_stage(work: Workspace) -> Workspace:
    """Time all candidates of a CPU tier side by side, on as many threads as a function of its memory has."""
    step = work.step
    # Times on this machine's CPU say nothing about a GPU.
    if step.tier is Tier.GPU:
        return work
    tokens = [sum(output["tokens"] for output in outputs) for outputs in work.reference]
    requests = work.family.requests(step.source, step.rows, work.reference)
    shares = ranking.length_shares(tokens, list(requests))
    folders = [candidate.folder for candidate in work.candidates]
    timings: list[Timing] = time_all(folders, requests, threads_of(step.memory_mb), work.notify)
    return replace(
        work,
        candidates=tuple(
            replace(c, timing=t, expected_ms=ranking.expected_ms(t, shares))
            for c, t in zip(work.candidates, timings, strict=True)
        ),
    )


def choose_stage(work: Workspace) -> Workspace:
    """Choose the first by the objective that passes the gate, here and on other processors.

    Raise GateFailed with the problems of each candidate if none does.
    """
    step = work.step
    processors = work.processors
    if not step.portable:
        processors = all_unavailable(processors, "`portable` is false")
    ordered = ranking.ranked(work.candidates, step.objective)
    result = first_portable(step, ordered, work.cache, processors, work.notify)
    rejected = result.problems
    work = replace(
        work,
        chosen=result.chosen,
        processor_results=result.processors,
        notes=(*work.notes, *result.notes),
        passed_over=tuple(
            {"recipe": c.recipe.name, "why": rejected[c.folder]}
            for c in ordered
            if c.folder in rejected
        ),
        candidates=tuple(
            replace(c, problems=(*c.problems, rejected[c.folder])) if c.folder in rejected else c
            for c in work.candidates
        ),
    )
    if result.chosen is None:
        found = {c.recipe.name: c.problems for c in work.candidates}
        raise gate_failed(step.name, len(step.rows), found)
    return work


SOURCE_STAGES: tuple[tuple[str, Stage], ...] = (
    ("exporting to ONNX", export_stage),
    ("running the reference", reference_stage),
    ("checking the rows", rows_stage),
    ("checking the reading", reading_stage),
)
TIER_STAGES: tuple[tuple[str, Stage], ...] = (
    ("making candidates", candidates_stage),
    ("timing candidates", timing_stage),
    ("choosing", choose_stage),
)
