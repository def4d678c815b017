"""Signed sources: the files that a signature has to cover, and those that a download may lack."""

import shutil
from pathlib import Path

import pytest
from model_signing import signing

from build.sources import remote
from build.trusted_sources import signed_root, source_problems
from contracts.problems import Code, Problem
from contracts.specs import ModelSpec, SourceOptions
from contracts.tasks import Task
from signatures.places import source_signatures
from signatures.signing import sign_folder
from tests.fixtures.models.hub import hub
from tests.signatures.making import Pair, pair

pytestmark = pytest.mark.slow

FILES = {
    "config.json": "{}",
    "model.safetensors": "weights",
    "README.md": "card",
    "training_args.bin": "a pickle",
    "events.out": "a log",
    ".gitattributes": "",
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair(tmp_path_factory.mktemp("keys"))


def spec(keys: Pair, tokenizer: Path | None = None) -> ModelSpec:
    nowhere, options = Path("nowhere"), SourceOptions(tokenizer=tokenizer)
    task, trusted = Task.TEXT_CLASSIFICATION, (keys.public,)
    return ModelSpec(
        name="films",
        source=nowhere,
        task=task,
        eval=nowhere,
        source_options=options,
        trusted_keys=trusted,
    )


@pytest.fixture
def repository(tmp_path: Path, keys: Pair) -> Path:
    """A repository that its publisher has signed whole, by the format's own tool."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    config = signing.Config().use_elliptic_key_signer(private_key=keys.private)
    config.sign(folder, folder / "model.sig")
    return folder


@pytest.fixture
def downloaded(repository: Path, tmp_path: Path) -> Path:
    with hub(repository, []) as environment:
        remote.fetch("hf://org/bert@main", tmp_path / "out", environment)
    folder, _, _ = remote.located("hf://org/bert@main", tmp_path / "out")
    assert folder is not None
    return folder


def codes(problems: list[Problem]) -> list[Code]:
    return [problem.code for problem in problems]


def test_a_download_is_trusted_without_the_files_that_it_leaves_out(
    downloaded: Path, keys: Pair
) -> None:
    assert not (downloaded / "training_args.bin").exists()
    assert not (downloaded / "events.out").exists()
    assert source_problems(spec(keys), downloaded, remote=True) == []
    # On this machine, all that was signed has to be there.
    (problem,) = source_problems(spec(keys), downloaded, remote=False)
    assert "events.out, training_args.bin is missing" in problem.message


@pytest.mark.parametrize("how", ["changed", "removed", "added"])
def test_a_download_that_was_tampered_with_is_refused(
    downloaded: Path, keys: Pair, how: str
) -> None:
    changed = downloaded / ("more.json" if how == "added" else "config.json")
    if how == "removed":
        changed.unlink()
    else:
        changed.write_text("[]", "utf-8")
    (problem,) = source_problems(spec(keys), downloaded, remote=True)
    assert problem.code is Code.SIGNATURE_DIFFERS
    assert changed.name in problem.message


def test_the_hubs_own_notes_are_no_part_of_a_source(downloaded: Path, keys: Pair) -> None:
    assert (downloaded / ".cache/huggingface").is_dir()
    (downloaded / "model.sig").unlink()
    assert codes(source_problems(spec(keys), downloaded, remote=True)) == [Code.SIGNATURE_MISSING]
    sign_folder(downloaded, source_signatures(downloaded)[0], keys.signer)
    shutil.rmtree(downloaded / ".cache")
    assert source_problems(spec(keys), downloaded, remote=True) == []


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("model.onnx", True),
        ("model.pt", True),
        ("model.tflite", True),
        ("model.Q4_1.gguf", False),
        ("lm.arpa.gz", False),
        ("words.vec", False),
        ("vectors.bin", False),
    ],
)
def test_of_a_graph_its_folder_is_signed_and_of_other_files_they_alone(
    tmp_path: Path, keys: Pair, name: str, whole: bool
) -> None:
    file = tmp_path / "model" / name
    file.parent.mkdir()
    file.write_text("x", "utf-8")
    root = signed_root(file)
    assert root == (file.parent if whole else file)
    sign_folder(root, source_signatures(root)[0], keys.signer)
    assert source_problems(spec(keys), file, remote=False) == []
    (file.parent / "tokenizer.json").write_text("{}", "utf-8")
    found = codes(source_problems(spec(keys), file, remote=False))
    assert found == [Code.SIGNATURE_DIFFERS] * whole
    file.write_text("y", "utf-8")
    assert codes(source_problems(spec(keys), file, remote=False)) == [Code.SIGNATURE_DIFFERS]


def test_a_tokenizer_within_what_is_signed_is_covered(repository: Path, keys: Pair) -> None:
    inside = spec(keys, tokenizer=repository / "config.json")
    assert source_problems(inside, repository, remote=False) == []
    outside = spec(keys, tokenizer=repository.parent / "tokenizer.json")
    (problem,) = source_problems(outside, repository, remote=False)
    assert (problem.code, problem.where) == (
        Code.SIGNATURE_MISSING,
        str(repository.parent / "tokenizer.json"),
    )


def test_a_source_that_is_not_there_is_left_to_its_reader(tmp_path: Path, keys: Pair) -> None:
    assert source_problems(spec(keys), tmp_path / "none", remote=False) == []
