"""Keys are made, listed and removed; only hashes are kept."""

from pathlib import Path

import pytest

from contracts.keys import key_hash
from tests.fixtures.problems import raises
from turnout.keys import add_key, read_keys, remove_key


def test_a_new_key_is_stored_as_its_hash_only(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    key = add_key(file, "ci")
    assert read_keys(file) == {"ci": key_hash(key)}
    assert key not in file.read_text("utf-8")
    assert len(key) > 40


def test_keys_are_kept_apart_and_removed_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    first, second = add_key(file, "ci"), add_key(file, "app")
    assert first != second
    remove_key(file, "ci")
    assert read_keys(file) == {"app": key_hash(second)}


def test_a_missing_file_has_no_keys(tmp_path: Path) -> None:
    assert read_keys(tmp_path / "keys.toml") == {}


@pytest.mark.parametrize("name", ["", "CI", "a b", "x" * 33, 'a"', "../a"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with raises("keys_invalid", repr(name), "32"):
        add_key(tmp_path / "keys.toml", name)


def test_a_second_key_of_the_same_name_is_refused(tmp_path: Path) -> None:
    add_key(tmp_path / "keys.toml", "ci")
    with raises("keys_invalid", tmp_path / "keys.toml", "`turnout keys remove ci`"):
        add_key(tmp_path / "keys.toml", "ci")


def test_removing_what_is_not_there_names_what_is(tmp_path: Path) -> None:
    add_key(tmp_path / "keys.toml", "ci")
    with raises("keys_invalid", tmp_path / "keys.toml", " app;", ": ci"):
        remove_key(tmp_path / "keys.toml", "app")


@pytest.mark.parametrize(
    ("text", "things"),
    [("[keys", ("TOML",)), ('[keys]\nci = "secret"\n', (": ci: ", "SHA-256"))],
    ids=["not toml", "not a hash"],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, things: tuple[str, ...]) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(text, "utf-8")
    with raises("keys_invalid", file, *things):
        read_keys(file)
