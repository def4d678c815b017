"""Tables added to a models.toml: what is there stays as it is, byte by byte, and nothing is half written."""

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from contracts.models_toml import read_models_toml
from tests.fixtures.problems import raises
from turnout.init.table import add_table, as_toml, read_existing, table_text

SETTINGS: dict[str, Any] = {
    "source": "models/intent",
    "task": "text-classification",
    "eval": "rows.jsonl",
    "cpu": {},
}
TABLE = table_text("intent", SETTINGS, {})
OTHER = """\
# Ours; ask Ines before you change it.
[models.other]   # the first
source = 'here'
task   =   "fill-mask"
eval   = "rows.jsonl"
cpu    = { memory_mb = 512 }"""


def names(path: Path) -> list[str]:
    return [spec.name for spec in read_models_toml(path).models]


def test_a_new_file_begins_with_a_comment_that_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "new/models.toml"
    add_table(path, TABLE)
    text = path.read_text("utf-8")
    assert text.startswith("# The models to serve")
    assert text.endswith(TABLE)
    assert names(path) == ["intent"]


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n# the end, without a line end"])
def test_an_existing_file_keeps_every_byte(tmp_path: Path, end: str) -> None:
    path = tmp_path / "models.toml"
    before = (OTHER + end).encode()
    path.write_bytes(before)
    add_table(path, TABLE)
    assert path.read_bytes().startswith(before)
    assert path.read_text("utf-8").endswith(f"\n\n{TABLE}")
    assert names(path) == ["other", "intent"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["models.toml"]


def test_line_ends_a_byte_order_mark_permissions_and_a_link_are_kept(tmp_path: Path) -> None:
    target, path = tmp_path / "shared.toml", tmp_path / "models.toml"
    before = b"\xef\xbb\xbf" + OTHER.replace("\n", "\r\n").encode()
    target.write_bytes(before)
    target.chmod(0o640)
    path.symlink_to(target)
    add_table(path, TABLE)
    after = target.read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == after.count(b"\r\n")
    assert path.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert names(path) == ["other", "intent"]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "[deployment]\nname = 'shop'\n"])
def test_a_file_without_a_model_gets_its_first(tmp_path: Path, text: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(text, "utf-8")
    assert read_existing(path).models == ()
    add_table(path, TABLE)
    assert names(path) == ["intent"]


@pytest.mark.parametrize(
    "text",
    [
        'models = { other = { source = "x", task = "fill-mask", eval = "y", cpu = {} } }\n',
        f"{OTHER}\n[models.intent]\n",
        f"{OTHER}\nunknown = 1\n",
        "[models",
    ],
)
def test_a_file_that_cannot_be_extended_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(text, "utf-8")
    with raises("config_invalid", path, "no table can be added", "[models.NAME]"):
        add_table(path, TABLE)
    assert path.read_text("utf-8") == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["models.toml"]


def test_a_file_with_other_problems_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text("[models.a]\nsource = 3\n", "utf-8")
    with raises("config_invalid", "models.a.source"):
        read_existing(path)
    assert read_existing(tmp_path / "none.toml").models == ()


def test_every_value_is_read_as_it_was_written() -> None:
    every = "".join(map(chr, range(0x20))) + '"\\/\x7fé€😀\u2028'
    values = {
        "text": every,
        "list": ["a", '"'],
        "flag": True,
        "number": 7,
        "table": {"x": 1},
        "none": {},
    }
    written = "".join(f"{key} = {as_toml(value)}\n" for key, value in values.items())
    assert tomllib.loads(written) == values


def test_a_folder_that_may_not_be_written_to_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    (tmp_path / "models.toml.half").mkdir()
    with pytest.raises(OSError, match="half"):
        add_table(path, TABLE)
    assert not path.exists()
    assert os.listdir(tmp_path) == ["models.toml.half"]
