"""The stages of a source, whose results its tiers share: the exported graphs, the reference, and the checks of both."""

import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event
from typing import Any

from build.errors import SourceError
from build.evaluation.agreement import told_by_scores
from build.evaluation.shorter_vectors import no_shorter
from build.exported_graphs import export_graphs
from build.library_errors import RUNNING_REFERENCE, naming_source
from build.proof.processors import processor_name
from build.proof.sealing import seal
from build.reading.check import Reading, check, unchecked_reason
from build.reading.library import library
from build.reading.outputs import Reference
from build.samples.facts import only_sample_rows
from build.samples.texts import sample_texts
from build.sources.gguf.source import library_folder
from build.sources.source import TransformersSource
from build.stages.candidates import make_parts
from build.stages.workspace import Workspace
from build.step import Step
from build.workspace.background import background
from build.workspace.build_memory import room_for_both
from build.workspace.progress import Notify
from contracts.http_errors import ModelFailed
from contracts.problems import Code, Problem


def export_and_reference_stage(work: Workspace) -> Workspace:
    """Export the source to ONNX graphs in full precision, from which every candidate is made, and run its reference.

    Both are done at once where they are independent and the memory allows. Raise SourceError if the reference's numbers
    are not finite.
    """
    step = work.step
    room = room_for_both(step.source.weights)
    if not isinstance(step.source, TransformersSource) or not room:
        work = replace(work, prepared=export_graphs(step, work.cache, work.notify))
        return _with_reference(work, _reference(work, work.notify))
    ended = Event()

    def notify(text: str) -> None:
        if ended.is_set():
            raise KeyboardInterrupt
        work.notify(f"reference: {text}")

    with background() as submit:
        try:
            answers = submit(_reference, work, notify)
            work = replace(work, prepared=export_graphs(step, work.cache, work.notify))
            return _with_reference(work, answers.result())
        except BaseException:
            # Nobody waits for the answers any more, and which of them the process is at is not known.
            ended.set()
            library().stop()
            raise


def _reference(work: Workspace, notify: Notify) -> dict[str, Any]:
    """Return the reference's outputs, their margins, and its libraries."""
    step = work.step

    def run_reference() -> Any:
        with naming_source(step.source, work.folder, RUNNING_REFERENCE):
            try:
                return asdict(work.family.reference(step.source, step.rows, work.prepared, notify))
            except ModelFailed as error:
                message = (
                    "the reference answers with numbers that are not finite; look for NaN in its weights and save it "
                    "again"
                )
                raise SourceError.about(step.name, Code.WEIGHTS_NOT_FINITE, message) from error

    found: dict[str, Any] = work.cache.value(
        run_reference, "reference", rows=step.rows_digest, **step.read_by, **step.made_from
    )
    return found


def _with_reference(work: Workspace, found: dict[str, Any]) -> Workspace:
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
    parts, made_from = make_parts(work, recipe)
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

    So are the dimensions that its vectors are to be cut to: there have to be more.

    The rows of the sample are none of the user's, and prove little whatever the answers: the evidence says so.
    """
    step = work.step
    if not_shorter := no_shorter(step.dimensions, work.reference):
        message = f"{not_shorter}; remove it"
        where = f"{step.model}: `dimensions`"
        raise SourceError([Problem(code=Code.SETTING_INVALID, where=where, message=message)])
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
