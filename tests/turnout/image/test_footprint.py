"""`turnout plan` says how large an image is and how long it takes to start, and what Lambda would refuse."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.manifest import MANIFEST, SealedFile, read_manifest
from contracts.specs import CpuSpec
from images.made.inputs import inputs_of
from images.made.record import (
    STARTS_KEPT,
    ImagesRecord,
    Start,
    read_record,
    record_made,
    record_start,
    row_of,
)
from tests.fixtures.models.tiny import Tiny, artefact, vectors
from tests.fixtures.problems import assert_problems
from tests.images.making import cpu, make
from turnout.cli import app
from turnout.image.footprint import Known, footprint, lambda_problems, shown_init, shown_sizes
from turnout.plan.plan import Undeployable

STACK, SPEC = "shop-intents-cpu", CpuSpec(memory_mb=2048, timeout_s=12)
GB = 10**9


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ImagesRecord]:
    """Return an artefact, and the record of a real image of it."""
    folder = tmp_path_factory.mktemp("made")
    contents = cpu(artefact(folder / "artefact", Tiny(model="intents")))
    built = make(contents, folder)
    row = row_of(built, inputs_of(contents), "debian", "sha256:0a")
    record_made(folder, STACK, row)
    return folder / "artefact", read_record(folder)


def test_an_image_that_was_made_has_its_own_sizes(made: tuple[Path, ImagesRecord]) -> None:
    folder, record = made
    found = footprint(STACK, SPEC, folder, record)
    assert found
    row = record.made[STACK]
    assert (found.known, found.compressed, found.unpacked) == ("made", row.size, row.unpacked)
    assert row.unpacked > sum(path.stat().st_size for path in folder.iterdir()) > 0
    assert shown_sizes(found) == (f"{row.size / 1e6:.1f} MB", f"{row.unpacked / 1e6:.1f} MB")


def test_another_model_is_estimated_by_the_layers_that_it_shares(
    made: tuple[Path, ImagesRecord], tmp_path: Path
) -> None:
    _, record = made
    folder = artefact(tmp_path / "words", vectors())
    found = footprint("shop-words-cpu", SPEC, folder, record)
    assert found
    shared = [layer for layer in record.made[STACK].layers if layer.layer != "weights"]
    assert [layer.layer for layer in shared] == ["base", "dependencies", "code"]
    size = read_manifest(folder).size
    assert found.known is Known.ESTIMATED
    assert found.unpacked == size + sum(layer.unpacked for layer in shared)
    assert found.compressed == size + sum(layer.size for layer in shared)
    assert [text.split()[0] for text in shown_sizes(found)] == ["at", "about"]


def test_an_image_of_an_older_artefact_is_not_taken_for_the_one_to_come(
    made: tuple[Path, ImagesRecord], tmp_path: Path
) -> None:
    newer = artefact(tmp_path / "newer", Tiny(model="intents", labels=("a", "b", "c")))
    found = footprint(STACK, SPEC, newer, made[1])
    assert found
    assert found.known is Known.ESTIMATED


def test_without_any_image_the_artefact_is_the_least_that_there_will_be(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "one", Tiny())
    found = footprint(STACK, SPEC, folder, ImagesRecord())
    assert found
    assert (found.known, found.unpacked) == (Known.ARTEFACT, read_manifest(folder).size)
    assert shown_sizes(found) == ("not made", f"more than {found.unpacked / 1e6:.1f} MB")
    assert footprint(STACK, SPEC, tmp_path / "none", ImagesRecord()) is None
    assert (*shown_sizes(None), shown_init(None)) == ("not built", "not built", "not measured")


def with_starts(record: ImagesRecord, *starts: tuple[str, int, float]) -> ImagesRecord:
    found = tuple(Start(digest=digest, memory_mb=mb, ms=ms) for digest, mb, ms in starts)
    return replace(record, starts=found)


def test_starts_count_for_that_image_at_that_memory_alone(made: tuple[Path, ImagesRecord]) -> None:
    folder, record = made
    digest = record.made[STACK].digest
    measured = with_starts(
        record, *((digest, 2048, ms) for ms in (400.0, 300.0, 350.0)), (digest, 1769, 9000.0)
    )
    found = footprint(STACK, SPEC, folder, measured)
    assert found
    assert (found.init_ms, shown_init(found)) == (350.0, "0.35 s")
    other = footprint(STACK, SPEC, folder, with_starts(record, ("sha256:00", 2048, 1.0)))
    assert other
    assert other.init_ms is None


@pytest.mark.parametrize(
    ("ms", "said", "refused"),
    [
        (9_999.0, "10.00 s", False),
        (11_000.0, "11.00 s, over 10 s", False),
        (12_001.0, "12.00 s, over 10 s", True),
    ],
)
def test_a_start_beyond_init_is_marked_and_one_beyond_the_timeout_refused(
    made: tuple[Path, ImagesRecord], ms: float, said: str, refused: bool
) -> None:
    folder, record = made
    found = footprint(
        STACK, SPEC, folder, with_starts(record, (record.made[STACK].digest, 2048, ms))
    )
    assert found
    assert shown_init(found) == said
    problems = lambda_problems(STACK, SPEC, found)
    expected = [("init_too_long", STACK, "12.0 s at 2048 MB", "gives it 12 s", "memory_mb")]
    assert_problems(problems, *(expected if refused else []))


def huge(folder: Path, size: int) -> Path:
    """Return an artefact whose manifest seals a file of so many bytes, which are not there."""
    manifest = read_manifest(artefact(folder, Tiny()))
    file = SealedFile(path="more.bin", sha256="0" * 64, size=size - manifest.size)
    sealed = replace(manifest, files=(*manifest.files, file)).sealed()
    (folder / MANIFEST).write_text(sealed.to_json(), "utf-8")
    return folder


@pytest.mark.parametrize(("size", "refused"), [(10 * GB, False), (10 * GB + 1, True)])
def test_more_than_lambda_takes_is_refused_before_an_image_is_made(
    tmp_path: Path, size: int, refused: bool
) -> None:
    found = footprint(STACK, SPEC, huge(tmp_path / "huge", size), ImagesRecord())
    assert found
    problems = lambda_problems(STACK, SPEC, found)
    expected = [("image_too_large", STACK, "10.0 GB", "artefact alone", "GPU tier")]
    assert_problems(problems, *(expected if refused else []))


def rows(memory_mb: int, times: Sequence[float]) -> list[Start]:
    return [Start(digest="sha256:0a", memory_mb=memory_mb, ms=ms) for ms in times]


def test_the_last_starts_of_each_memory_are_kept(tmp_path: Path) -> None:
    times = [float(ms) for ms in range(STARTS_KEPT + 2)]
    for start in (*rows(1769, [5.0]), *rows(2048, times)):
        record_start(tmp_path, start)
    kept = read_record(tmp_path).starts
    assert kept == (*rows(1769, [5.0]), *rows(2048, times[2:]))


def test_the_command_shows_sizes_and_fails_where_lambda_would_refuse(tmp_path: Path) -> None:
    (tmp_path / "few.vec").write_text("2 2\none 1 0\ntwo 0 1\n", "utf-8")
    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n', "utf-8")
    text = (
        '[models.words]\nsource = "few.vec"\ntask = "word-vectors"\neval = "rows.jsonl"\ncpu = {}\n'
    )
    (tmp_path / "models.toml").write_text(text, "utf-8")
    out = tmp_path / "models.out"
    places = ("--config", "models.toml", "--out", "models.out", "--images", "images.out")
    words = [str(tmp_path / word) if "." in word else word for word in places]
    artefact(out / "words/cpu", Tiny())
    fits = CliRunner().invoke(app, ["plan", *words])
    assert (fits.exit_code, "more than 0.0 MB" in fits.stdout) == (0, True), fits.output
    shutil.rmtree(out)
    huge(out / "words/cpu", 11 * GB)
    done = CliRunner().invoke(app, ["plan", "--json", *words])
    assert isinstance(done.exception, Undeployable), done.exception
    (row,) = json.loads(done.stdout)["tiers"]
    assert (row["image"]["known"], row["image"]["unpacked"]) == ("artefact alone", 11 * GB)
    assert [problem.where for problem in done.exception.problems] == ["turnout-words-cpu"]
    assert list(tmp_path.glob("images.out")) == []
