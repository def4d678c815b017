"""With `trusted_keys`, no image is made, pushed or synthesised of an artefact that a trusted key has not signed."""

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from contracts.problems import Code, Problem
from contracts.tasks import Tier
from images.errors import ImageError, PushError
from signatures.places import artefact_signature
from signatures.signing import sign_folder
from stacks.app import Inputs, make_app
from stacks.errors import StackError
from tests.fixtures.models.tiny import Tiny, artefact, seal, vectors
from tests.images.making import unasked
from tests.signatures.making import Pair, pair
from tests.turnout.image.test_making import SHOP, runtime
from turnout.image.making import Wanted, image
from turnout.image.signed import check_images

WORDS_TIER = "words/cpu"
ARTEFACTS = ("intents/cpu", "intents/gpu", WORDS_TIER)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, keys: Pair) -> Path:
    folder = tmp_path_factory.mktemp("signed")
    artefact(folder / "intents/cpu", Tiny(model="intents"))
    artefact(folder / "intents/gpu", Tiny(model="intents", tier=Tier.GPU))
    artefact(folder / WORDS_TIER, vectors())
    for name in ARTEFACTS:
        sign_folder(folder / name, artefact_signature(folder / name), keys.signer)
    return folder


@pytest.fixture
def out(signed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(signed, tmp_path / "models.out")


def wanted(out: Path, *trusted: Path, names: tuple[str, ...] = ()) -> Wanted:
    models = tuple(replace(model, trusted_keys=trusted) for model in SHOP.models)
    shop = replace(SHOP, models=models)
    return Wanted(deployment=shop, out=out, key_hashes={"ci": "0" * 64}, names=names)


def problems_at_image(wanted: Wanted) -> tuple[Problem, ...]:
    """Return what keeps the images from being made, after looking that none is there."""
    target = wanted.out.parent / "images"
    with pytest.raises(ImageError) as caught:
        image(
            wanted,
            target,
            wanted.out.parent / "work",
            Console(file=io.StringIO()),
            runtime,
            unasked,
        )
    assert not target.exists()
    return caught.value.problems


def problems_at_synthesis(wanted: Wanted) -> tuple[Problem, ...]:
    staging = wanted.out.parent / "staging"
    inputs = Inputs(
        deployment=wanted.deployment,
        out=wanted.out,
        key_hashes={},
        staging=staging,
        images=wanted.out.parent / "images.out",
    )
    with pytest.raises(StackError) as caught:
        make_app(inputs, outdir=str(wanted.out.parent / "cdk.out"))
    assert not staging.exists()
    return caught.value.problems


def test_signed_artefacts_become_images(out: Path, keys: Pair, tmp_path: Path) -> None:
    of = wanted(out, keys.public)
    made = image(
        of, tmp_path / "images", tmp_path / "w", Console(file=io.StringIO()), runtime, unasked
    )
    assert len(made) == 4
    check_images(of, made)
    # Signatures are in none of them.
    assert not [p for p in (tmp_path / "images").rglob("*") if p.suffix == ".sig"]


def test_an_artefact_that_is_not_signed_is_refused_with_its_key_and_the_command(
    out: Path, keys: Pair
) -> None:
    artefact_signature(out / WORDS_TIER).unlink()
    for found in (problems_at_image, problems_at_synthesis):
        (problem,) = found(wanted(out, keys.public))
        assert problem.code is Code.SIGNATURE_MISSING
        assert problem.where == f"words: {out / WORDS_TIER}"
        assert str(keys.public) in problem.message
        assert "`turnout sign words --key KEY`" in problem.message


def test_every_artefact_by_another_key_is_named_at_once(
    out: Path, keys: Pair, tmp_path: Path
) -> None:
    other = pair(tmp_path, "other").public
    for found in (problems_at_image, problems_at_synthesis):
        problems = found(wanted(out, other))
        assert [problem.code for problem in problems] == [Code.SIGNATURE_UNTRUSTED] * 3
        assert all(str(other) in problem.message for problem in problems)


def test_a_key_that_cannot_be_read_is_no_key(out: Path, keys: Pair, tmp_path: Path) -> None:
    problems = problems_at_image(wanted(out, keys.public, tmp_path / "none.pub"))
    assert {problem.code for problem in problems} == {Code.KEY_INVALID}


def flipped(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1
    path.write_bytes(data)


def resealed(folder: Path, tiny: Tiny) -> None:
    """Seal other files as a build would: no byte contradicts the manifest, and the signature is an older one's."""
    shutil.rmtree(folder)
    artefact(folder, tiny)


def exchanged(folder: Path) -> None:
    """Put the signature of the other tier beside an artefact."""
    other = folder.parent.parent / "intents/cpu"
    shutil.copy(artefact_signature(other), artefact_signature(folder))


def cut(folder: Path, share: float) -> None:
    path = artefact_signature(folder)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def linked(folder: Path) -> None:
    elsewhere = (folder / "model.onnx").rename(folder.parent / "elsewhere.onnx")
    (folder / "model.onnx").symlink_to(elsewhere)


TAMPERED: dict[str, Callable[[Path], object]] = {
    **{
        f"bit {place} of {name}": lambda at, name=name, place=place: flipped(at / name, place)  # type: ignore[misc]
        for name in ("model.onnx", "tokenizer.json", "manifest.json", "probe.json")
        for place in (3, 101)
    },
    "a file removed": lambda at: (at / "tokenizer.json").unlink(),
    "the manifest removed": lambda at: (at / "manifest.json").unlink(),
    "a file added": lambda at: (at / "more.bin").write_bytes(b"x"),
    "a folder with a file added": lambda at: shutil.copytree(at.parent / "cpu", at / "more"),
    "a file renamed": lambda at: (at / "model.onnx").rename(at / "other.onnx"),
    "two files exchanged": lambda at: [
        (at / "probe.json").rename(at / "x"),
        (at / "tokenizer.json").rename(at / "probe.json"),
        (at / "x").rename(at / "tokenizer.json"),
    ],
    "other weights, sealed": lambda at: resealed(at, vectors(dimensions=5)),
    "another limit, sealed": lambda at: seal(at, replace(vectors(), precision="int8")),
    "the signature of another artefact": exchanged,
    "a signature cut short": lambda at: cut(at, 0.9),
    "an empty signature": lambda at: cut(at, 0),
    "a link in place of a file": linked,
}


def test_there_are_20_ways_to_tamper_with_an_artefact() -> None:
    assert len(TAMPERED) == 20


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_artefact_is_refused_before_an_image_exists(
    out: Path, keys: Pair, how: str
) -> None:
    TAMPERED[how](out / WORDS_TIER)
    problems = problems_at_image(wanted(out, keys.public))
    assert problems
    for problem in problems:
        assert "words" in f"{problem.where} {problem.message}"
        assert problem.code.startswith(("signature_", "artefact_"))
    assert problems_at_synthesis(wanted(out, keys.public)) == problems


def test_an_image_of_other_files_than_those_that_are_signed_is_not_pushed(
    out: Path, keys: Pair, tmp_path: Path
) -> None:
    of = wanted(out, keys.public, names=("shop-words-cpu",))
    log = Console(file=io.StringIO())
    made = image(of, tmp_path / "images", tmp_path / "work", log, runtime, unasked)
    check_images(of, made)
    resealed(out / WORDS_TIER, vectors(dimensions=5))
    folder = out / WORDS_TIER
    sign_folder(folder, artefact_signature(folder), keys.signer)
    with pytest.raises(PushError) as caught:
        check_images(of, made)
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == (Code.SIGNATURE_DIFFERS, "shop-words-cpu")
    assert "manifest.json, model.onnx" in problem.message
    artefact_signature(folder).unlink()
    with pytest.raises(PushError) as caught:
        check_images(of, made)
    (problem,) = caught.value.problems
    assert problem.code is Code.SIGNATURE_MISSING
    assert "turnout sign words --key KEY" in problem.message
