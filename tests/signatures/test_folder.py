"""A signed folder is trusted as it was signed, and every change to it or to the signature is refused by its code."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from model_signing import hashing, signing

from contracts.problems import Code
from signatures.errors import Refused
from signatures.folder import check_folder
from signatures.keys import trusted_keys
from signatures.signing import sign_folder
from tests.signatures.making import Pair, bundle, check, model, pair, payload, refused


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def signed(tmp_path: Path, keys: Pair) -> Path:
    """A signed folder, `model`, whose signature is beside it."""
    folder = model(tmp_path / "model")
    sign_folder(folder, tmp_path / "model.sig", keys.signer)
    return folder


def test_a_signed_folder_is_trusted_wherever_it_lies(signed: Path, keys: Pair) -> None:
    found = check(signed, keys.public)
    assert found.by.path == keys.public
    assert sorted(found.digests) == ["manifest.json", "model.onnx", "tokens/tokenizer.json"]
    assert found.plain
    elsewhere = signed.rename(signed.with_name("other"))
    (signed.with_name("model.sig")).rename(signed.with_name("other.sig"))
    assert check(elsewhere, keys.public).root == found.root


def test_signing_changes_no_byte_of_the_folder_and_leaves_nothing_else(
    signed: Path, keys: Pair
) -> None:
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in signed.rglob("*") if p.is_file()}
    sign_folder(signed, signed.with_name("model.sig"), keys.signer)
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in signed.rglob("*") if p.is_file()}
    assert after == before
    assert sorted(path.name for path in signed.parent.iterdir()) == ["model", "model.sig"]


def test_the_tool_of_the_format_verifies_our_signatures(signed: Path, keys: Pair) -> None:
    from model_signing._cli import main

    arguments = ["verify", "key", "--public_key", str(keys.public), "--signature"]
    done = CliRunner().invoke(main, [*arguments, f"{signed}.sig", str(signed)])
    assert (done.exit_code, "succeeded" in done.output.lower()) == (0, True), done.output
    (signed / "model.onnx").write_bytes(b"other")
    assert CliRunner().invoke(main, [*arguments, f"{signed}.sig", str(signed)]).exit_code == 1


TAMPERED: dict[str, Callable[[Path], object]] = {
    "model.onnx is not the file that was signed": lambda at: (at / "model.onnx").write_bytes(b"x"),
    "tokens/tokenizer.json is not the file that was signed": lambda at: (
        at / "tokens/tokenizer.json"
    ).write_text("[]"),
    "manifest.json is missing": lambda at: (at / "manifest.json").unlink(),
    "more.json is not signed": lambda at: (at / "more.json").write_text("{}"),
    "tokens/a is not signed": lambda at: (at / "tokens/a").touch(),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_file_that_is_changed_removed_or_added_is_named(
    signed: Path, keys: Pair, what: str
) -> None:
    TAMPERED[what](signed)
    code, message = refused(signed, keys.public)
    assert code is Code.SIGNATURE_DIFFERS
    assert what in message
    assert str(keys.public) in message


def test_all_differences_are_named_at_once(signed: Path, keys: Pair) -> None:
    (signed / "model.onnx").rename(signed / "renamed.onnx")
    (signed / "manifest.json").write_text("{}")
    _, message = refused(signed, keys.public)
    for part in ("renamed.onnx is not signed", "model.onnx is missing", "manifest.json is not the"):
        assert part in message


def test_a_link_is_refused_even_to_the_same_bytes(signed: Path, keys: Pair, tmp_path: Path) -> None:
    outside = (signed / "model.onnx").rename(tmp_path / "outside.onnx")
    (signed / "model.onnx").symlink_to(outside)
    assert refused(signed, keys.public)[0] is Code.SIGNATURE_DIFFERS
    (signed / "model.onnx").unlink()
    outside.rename(signed / "model.onnx")
    os.symlink(signed / "tokens", signed / "again")
    assert "a link to a folder, again" in refused(signed, keys.public)[1]


def test_the_wrong_key_is_named_beside_the_one_that_signed(
    signed: Path, keys: Pair, tmp_path: Path
) -> None:
    other = pair(tmp_path, "other")
    code, message = refused(signed, other.public)
    assert code is Code.SIGNATURE_UNTRUSTED
    (of_signer,), _ = trusted_keys([keys.public])
    assert of_signer.fingerprint[:12] in message
    assert str(other.public) in message
    assert check(signed, other.public, keys.public).by.path == keys.public


def test_a_signature_of_another_folder_is_refused(signed: Path, keys: Pair, tmp_path: Path) -> None:
    other = model(tmp_path / "other")
    (other / "model.onnx").write_bytes(b"another model")
    sign_folder(other, tmp_path / "other.sig", keys.signer)
    code, message = refused(signed, keys.public, signature=tmp_path / "other.sig")
    assert code is Code.SIGNATURE_DIFFERS
    assert "manifest.json, model.onnx is not the file that was signed" in message


def without(signature: Path, part: str) -> str:
    document = bundle(signature)
    del document[part]
    return json.dumps(document)


GARBLED: dict[str, Callable[[Path], str]] = {
    "empty": lambda at: "",
    "cut short": lambda at: at.read_text()[:-40],
    "half": lambda at: at.read_text()[: len(at.read_text()) // 2],
    "no object": lambda at: "[]",
    "deep": lambda at: "[" * 100_000,
    "no envelope": lambda at: without(at, "dsseEnvelope"),
    "no material": lambda at: without(at, "verificationMaterial"),
    "another media type": lambda at: json.dumps({**bundle(at), "mediaType": "text/plain"}),
    "no signature": lambda at: json.dumps(
        {**bundle(at), "dsseEnvelope": {**bundle(at)["dsseEnvelope"], "signatures": []}}
    ),
    "another statement": lambda at: payload(at, lambda s: s.update(subject=[])),
    "another name": lambda at: payload(at, lambda s: s["predicate"]["resources"].pop()),  # type: ignore[index]
}


@pytest.mark.parametrize("how", GARBLED)
def test_a_signature_that_is_cut_short_or_changed_is_refused(
    signed: Path, keys: Pair, how: str
) -> None:
    signature = signed.with_name("model.sig")
    signature.write_text(GARBLED[how](signature), "utf-8")
    code, message = refused(signed, keys.public)
    assert code is Code.SIGNATURE_INVALID
    assert "sign again" in message


def test_no_flipped_bit_of_a_signature_is_overlooked(signed: Path, keys: Pair) -> None:
    """Each is refused, but for those in bytes that nothing reads: then the statement is the one that was signed."""
    signature = signed.with_name("model.sig")
    sound, root = signature.read_bytes(), check(signed, keys.public).root
    found, _ = trusted_keys([keys.public])
    outcomes = Counter[str]()
    for place in range(0, len(sound), 31):
        changed = bytearray(sound)
        changed[place] ^= 1
        signature.write_bytes(changed)
        try:
            outcomes[check_folder(signed, signature, found).root] += 1
        except Refused as error:
            outcomes[error.problem.code] += 1
    assert outcomes.keys() <= {root, Code.SIGNATURE_INVALID, Code.SIGNATURE_UNTRUSTED}
    assert outcomes[root] <= 3
    assert outcomes.total() > 40


@pytest.mark.parametrize("inside", [(), ("empty",), (".gitignore",), ("model.sig",)])
def test_a_folder_without_files_cannot_be_signed(
    tmp_path: Path, keys: Pair, inside: tuple[str, ...]
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in inside:
        (folder / name).touch() if "." in name else (folder / name).mkdir()
    with pytest.raises(Refused, match="holds no file") as caught:
        sign_folder(folder, tmp_path / "model.sig", keys.signer)
    assert caught.value.problem.code is Code.FILE_MISSING
    assert not (tmp_path / "model.sig").exists()


def test_an_empty_folder_that_the_library_signed_is_refused(tmp_path: Path, keys: Pair) -> None:
    """The library signs and verifies one: https://github.com/sigstore/model-transparency/issues/661."""
    folder = tmp_path / "model"
    folder.mkdir()
    signing.Config().use_elliptic_key_signer(private_key=keys.private).sign(
        folder, tmp_path / "model.sig"
    )
    code, message = refused(folder, keys.public)
    assert (code, "names no file" in message) == (Code.SIGNATURE_INVALID, True)


def test_a_file_that_the_signer_left_out_is_refused_where_it_would_be_read(
    tmp_path: Path, keys: Pair
) -> None:
    folder, signature = model(tmp_path / "model"), tmp_path / "model.sig"
    config = signing.Config().use_elliptic_key_signer(private_key=keys.private)
    config.set_hashing_config(hashing.Config().set_ignored_paths(paths=["tokens"]))
    config.sign(folder, signature)
    assert "tokens/tokenizer.json is not signed" in refused(folder, keys.public)[1]
    found, _ = trusted_keys([keys.public])
    assert check_folder(folder, signature, found, read=lambda name: name != "tokens/tokenizer.json")
    with pytest.raises(Refused):
        check_folder(folder, signature, found, read=lambda name: "tokenizer" in name)


@pytest.mark.parametrize("algorithm", ["blake2", "blake3"])
def test_other_digests_of_the_format_are_compared(
    tmp_path: Path, keys: Pair, algorithm: str
) -> None:
    folder = model(tmp_path / "model")
    config = signing.Config().use_elliptic_key_signer(private_key=keys.private)
    how = hashing.Config().use_file_serialization(hashing_algorithm=algorithm)
    config.set_hashing_config(how).sign(folder, tmp_path / "model.sig")
    assert not check(folder, keys.public).plain
    (folder / "model.onnx").write_bytes(b"x")
    assert refused(folder, keys.public)[0] is Code.SIGNATURE_DIFFERS


def test_files_that_are_signed_in_parts_are_compared_part_by_part(
    tmp_path: Path, keys: Pair
) -> None:
    folder = model(tmp_path / "model")
    config = signing.Config().use_elliptic_key_signer(private_key=keys.private)
    config.set_hashing_config(hashing.Config().use_shard_serialization(shard_size=1000))
    config.sign(folder, tmp_path / "model.sig")
    assert "model.onnx:1000:2000" in check(folder, keys.public).digests
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"x")
    code, message = refused(folder, keys.public)
    assert code is Code.SIGNATURE_DIFFERS
    assert "model.onnx is not the file that was signed" in message


def test_one_file_is_signed_by_itself(tmp_path: Path, keys: Pair) -> None:
    file = model(tmp_path / "model") / "model.onnx"
    sign_folder(file, tmp_path / "one.sig", keys.signer)
    assert check(file, keys.public, signature=tmp_path / "one.sig").plain
    file.write_bytes(b"x")
    code, message = refused(file, keys.public, signature=tmp_path / "one.sig")
    assert (code, "model.onnx is not the file" in message) == (Code.SIGNATURE_DIFFERS, True)
