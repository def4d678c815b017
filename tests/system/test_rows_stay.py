"""The user's rows stay on the machine that builds: no byte of them is in what a deployment or a copy takes away."""

import io
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from build import api
from build.proof.golden import golden_path, read_golden
from contracts.specs import Deployment
from stacks.app import Inputs, make_app
from tests.fixtures.models.tiny_bert import LABELS, classifier, deployment, texts, write_rows
from tests.images.making import small_runtime, unasked
from turnout.image.making import Wanted, image

# Characters that JSON may escape, quotes and backslashes among them, in texts that no vocabulary has as one token.
MARKS = ("naïve Zoë", 'a "quoted" C:\\path', "\u2028 line", "日本語の文", "tab\there")
ROWS = [f"{text} {MARKS[i % len(MARKS)]} {i}" for i, text in enumerate(texts(40))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The artefacts of a build, and by name the folders that leave the machine."""

    out: Path
    leaving: dict[str, Path]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    """Build both tiers and the edge copy of a classifier, and synthesise its deployment."""
    home = tmp_path_factory.mktemp("rows")
    rows = [{"text": text, "label": LABELS[i % 3]} for i, text in enumerate(ROWS)]
    path, out = write_rows(home / "rows.jsonl", rows), home / "models.out"
    spec = deployment(classifier(home / "source"), path, edge=True)
    api.run(api.plan(spec, out), out, timed=False)
    # A file of the user's beside the sealed ones is theirs as well.
    (out / "tiny/cpu/notes.txt").write_text(ROWS[0], "utf-8")
    inputs = Inputs(
        deployment=spec,
        out=out,
        key_hashes={},
        staging=home / "staging",
        images=home / "nothing-is-pushed",
    )
    make_app(inputs, outdir=str(home / "cdk.out")).synth()
    leaving = {
        "staged": home / "staging",
        "assets": home / "cdk.out",
        "edge": out / "tiny/edge",
        "images": unpacked_images(spec, out, home),
    }
    return Taken(out=out, leaving=leaving)


def unpacked_images(spec: Deployment, out: Path, home: Path) -> Path:
    """Make the images of a deployment; return a folder of what is in every layer of each, in order."""
    wanted, unpacked = Wanted(deployment=spec, out=out, key_hashes={}), home / "unpacked"
    made = image(
        wanted,
        home / "images.out",
        home / "work",
        Console(file=io.StringIO()),
        lambda contents, base, work, blobs, slimming: small_runtime(contents, blobs),
        unasked,
    )
    for one in made:
        for number, layer in enumerate(one["layers"]):
            blob = Path(one["folder"]) / "blobs" / layer["digest"].replace(":", "/")
            (folder := unpacked / one["image"] / str(number)).mkdir(parents=True)
            subprocess.run(["tar", "-xzf", blob, "-C", folder], check=True)
    return unpacked


def forms(text: str) -> Iterator[bytes]:
    """Yield a text as it may be written: plain, in JSON, in JSON within JSON, each escaped to ASCII or not."""
    for form in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield form.encode()
        yield json.dumps(form)[1:-1].encode()
    yield text.encode("utf-16-le")


def holding(folder: Path) -> set[str]:
    """Return the files below a folder that hold a row, or have a name of the rows' files."""
    wanted = {form for text in ROWS for form in forms(text)}
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and ("golden" in path.name or any(form in path.read_bytes() for form in wanted))
    }


@pytest.mark.parametrize("name", ["staged", "assets", "edge", "images"])
def test_no_row_leaves_the_machine(taken: Taken, name: str) -> None:
    folder = taken.leaving[name]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"manifest.json", "model.onnx", "tokenizer.json"}
    assert holding(folder) == set()


def test_the_rows_are_found_where_they_may_be(taken: Taken) -> None:
    """Show that the search above finds a row: it finds those that stay."""
    found = holding(taken.out / "tiny")
    assert found >= {"cpu/notes.txt", "evidence/cpu/golden.jsonl", "evidence/gpu/golden.jsonl"}
    # The evidence and its page list rows whose answer has changed, if there are any.
    assert {name.split("/")[0] for name in found} <= {"cpu", "evidence", "report.html"}
    for tier in ("cpu", "gpu"):
        assert golden_path(taken.out / "tiny" / tier).is_file()
        assert {row.request.inputs[0] for row in read_golden(taken.out / "tiny" / tier)} <= {*ROWS}
