"""The images that ours is compared with have our versions, and what a change of code pushes is counted."""

from pathlib import Path

import pytest

from benchmarks.image import CHANGE, NAIVE, changed, least_cosine, pushed_bytes
from benchmarks.naive_images.making import naive_contents
from images.image import Built, build_image
from images.registry.push import read_images
from tests.fixtures.paths import ROOT
from tests.images.making import small_runtime


def versions(lock: Path) -> dict[str, str]:
    """Return the versions of a lock's packages, or of lines without digests."""
    words = (line.split()[0] for line in lock.read_text("utf-8").splitlines() if "==" in line)
    return dict(word.split("==") for word in words)


@pytest.mark.parametrize(
    ("name", "lock"),
    [("onnx_runtime", "functions/cpu/requirements.txt"), ("transformers", "requirements.txt")],
)
def test_a_naive_image_has_the_versions_that_we_have(name: str, lock: str) -> None:
    theirs, ours = versions(NAIVE / name / "requirements.in"), versions(ROOT / lock)
    assert len(theirs) >= 3
    assert {package: ours[package] for package in theirs} == theirs


def built(folder: Path, *, change: bool) -> Built:
    model = folder / "model.onnx"
    model.write_bytes(b"weights")
    contents = naive_contents(NAIVE / "onnx_runtime", {"model.onnx": model})
    contents = changed(contents, "app.py") if change else contents
    blobs = folder / "blobs"
    return build_image(contents, small_runtime(contents, blobs), folder / str(change), blobs)


def test_a_change_of_code_pushes_its_layer_and_two_documents(tmp_path: Path) -> None:
    before, after = (built(tmp_path, change=change) for change in (False, True))
    [second] = read_images([after.folder])
    code, config = dict(after.layers)["code"], second.blobs[0]
    assert dict(before.layers)["weights"] == dict(after.layers)["weights"]
    sent = pushed_bytes((before.folder, after.folder))
    assert sent == code.size + config.size + len(second.manifest)


def test_a_change_of_code_is_one_line_more(tmp_path: Path) -> None:
    contents = naive_contents(NAIVE / "onnx_runtime", {})
    code = (NAIVE / "onnx_runtime/app.py").read_bytes()
    assert changed(contents, "app.py").files == {**contents.files, "app.py": code + CHANGE}


def test_answers_are_compared_by_their_least_similar_vectors() -> None:
    one = b'{"outputs": [{"embedding": [1.0, 0.0]}, {"embedding": [0.6, 0.8]}]}'
    other = b'{"outputs": [{"embedding": [1.0, 0.0]}, {"embedding": [0.8, 0.6]}]}'
    assert least_cosine(one, one) == pytest.approx(1.0)
    assert least_cosine(one, other) == pytest.approx(0.96)
