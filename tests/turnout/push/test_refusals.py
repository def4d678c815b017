"""Models that cannot be pushed are refused by name before a byte of weights is read, and nothing is written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from rich.console import Console

from stacks.fit.config import Unsized
from tests.fixtures.problems import assert_problems
from tests.fixtures.pushed.model import CONFIG
from tests.turnout.push.conftest import SHARDS, deployment
from tests.turnout.push.counted import Counted
from turnout.deployed.clients import AwsRefused
from turnout.push.errors import PushFailed
from turnout.push.pushing import push
from turnout.push.tree import Folder

FIRST, SECOND = SHARDS
INDEX = "model.safetensors.index.json"


class Sts:
    """A client of an account, or without credentials."""

    def __init__(self, account: str = "") -> None:
        self._account = account

    def get_caller_identity(self) -> dict[str, str]:
        if not self._account:
            raise NoCredentialsError
        return {"Account": self._account}


class ForeignBucket:
    """A client of S3 whose bucket of that name is another account's."""

    def head_bucket(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadBucket")


def nobody(service: str) -> Any:
    raise AssertionError(f"{service} is asked")


def refused(tree: Counted, out: Path, clients: Callable[[str], Any] = nobody) -> Exception:
    """Return the error of a push, which has read no more than headers and written nothing."""
    of = deployment("refused")
    with pytest.raises((PushFailed, Unsized, AwsRefused)) as caught:
        push(of, of.models[0], tree, out, clients, Console(quiet=True))
    assert tree.shards < 1000
    assert not out.exists()
    return caught.value


def without_shards(folder: Path) -> None:
    for name in (*SHARDS, INDEX):
        (folder / name).unlink()


def without_an_index(folder: Path) -> None:
    (folder / INDEX).unlink()


def without_a_shard(folder: Path) -> None:
    (folder / SECOND).unlink()


def without_five_shards(folder: Path) -> None:
    names = {f"layer.{number}": f"model-{number}.safetensors" for number in range(5)}
    (folder / INDEX).write_text(json.dumps({"weight_map": names}), "utf-8")


def of_another_architecture(folder: Path) -> None:
    config = {**CONFIG, "architectures": ["MambaForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (without_shards, "pickle_refused", ["pytorch_model.bin", "`save_pretrained`"]),
        (without_an_index, "file_missing", [INDEX, FIRST, "`save_pretrained`"]),
        (without_a_shard, "file_missing", [SECOND, f"which {INDEX} names", "copy"]),
        (without_five_shards, "file_missing", ["model-2.safetensors and 2 more"]),
        (of_another_architecture, "architecture_unsupported", ["MambaForCausalLM"]),
    ],
)
def test_a_model_that_cannot_be_served_is_refused_by_the_name_of_its_folder(
    folder: Path,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    code: str,
    said: list[str],
) -> None:
    spoil(folder)
    error = refused(Counted(Folder(folder)), tmp_path / "out")
    assert isinstance(error, PushFailed | Unsized)
    where = "`architectures`" if code == "architecture_unsupported" else ""
    assert_problems(error.problems, (code, where, *said))
    assert str(folder) in str(error)


def test_without_credentials_no_weights_are_read(folder: Path, tmp_path: Path) -> None:
    error = refused(Counted(Folder(folder)), tmp_path / "out", lambda service: Sts())
    assert "Unable to locate credentials; `aws configure`" in str(error)


def test_a_bucket_that_is_not_open_is_named_with_the_permissions(
    folder: Path, tmp_path: Path
) -> None:
    clients: dict[str, Any] = {"sts": Sts("210987654321"), "s3": ForeignBucket()}
    error = refused(Counted(Folder(folder)), tmp_path / "out", clients.__getitem__)
    assert isinstance(error, PushFailed)
    assert_problems(error.problems, ("weights_denied", "", "s3:PutObject"))
    assert "refused-weights-210987654321-us-east-1" in str(error)
