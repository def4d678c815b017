"""A base is pulled by its digest, byte for byte, and recorded once; a registry that fails is named."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from images.base import TABLE, base_of, read_table
from images.errors import ImageError
from images.registry.pull import pull, resolve
from images.root import root_of
from scripts.renew_bases import main as renew
from tests.fixtures.paths import ROOT
from tests.images.registry.server import PublicRegistry, archive, digest_of, public_registry

ARCHIVES = (archive("etc/one", b"1" * 5000), archive("etc/two", b"2"))
CONFIG = {
    "Env": ["PATH=/var/lang/bin", "TZ=:/etc/localtime", "EMPTY="],
    "Entrypoint": ["/lambda-entrypoint.sh"],
    "WorkingDir": "/var/task",
}


@pytest.fixture
def registry() -> Iterator[PublicRegistry]:
    with public_registry() as running:
        yield running


@pytest.fixture
def digest(registry: PublicRegistry) -> str:
    """The digest of an image for x86-64, which the tag's index names beside one for arm64."""
    own = registry.add_image(*ARCHIVES, config=CONFIG)
    registry.add_index(arm64=digest_of(b"other"), amd64=own)
    return own


def table_of(folder: Path, image: str, digest: str = "") -> Path:
    table = folder / "bases.json"
    row = {"image": image, "digest": digest, "python": "3.13"}
    table.write_text(json.dumps({"aws-lambda": row}), "utf-8")
    return table


def message(make: Callable[[], object]) -> str:
    with pytest.raises(ImageError) as caught:
        make()
    assert {problem.code for problem in caught.value.problems} == {"base_unavailable"}
    return str(caught.value)


def test_a_tag_is_resolved_to_the_manifest_of_our_platform(
    registry: PublicRegistry, digest: str
) -> None:
    assert resolve(registry.image) == digest
    registry.add(json.loads(registry.manifests[digest]), "3.13")
    assert resolve(registry.image) == digest
    registry.add_index(arm64=digest)
    assert "none for linux/amd64" in message(lambda: resolve(registry.image))


@pytest.mark.parametrize("pinned", ["manifest", "index"])
def test_a_base_has_the_layers_and_settings_of_its_digest(
    registry: PublicRegistry, digest: str, tmp_path: Path, pinned: str
) -> None:
    index = digest_of(registry.manifests["3.13"])
    image = pull(registry.image, index if pinned == "index" else digest, tmp_path)
    assert [layer.diff_id for layer in image.layers] == [digest_of(data) for data in ARCHIVES]
    for layer in image.layers:
        assert digest_of(layer.blob.read_bytes()) == layer.digest
        assert layer.size == layer.blob.stat().st_size
    assert image.env == {"PATH": "/var/lang/bin", "TZ": ":/etc/localtime", "EMPTY": ""}
    assert (image.entrypoint, image.workdir) == (("/lambda-entrypoint.sh",), "/var/task")
    # The store that blobs are redirected to is another server, which must not see the token.
    assert set(registry.tokens_sent_on) == {""}


def test_a_layer_that_lies_here_is_not_downloaded_again_unless_it_is_damaged(
    registry: PublicRegistry, digest: str, tmp_path: Path
) -> None:
    first, second = pull(registry.image, digest, tmp_path).layers
    second.blob.write_bytes(b"damaged")
    registry.requests.clear()
    assert pull(registry.image, digest, tmp_path).layers == (first, second)
    stored = [path for path in registry.requests if path.startswith("/store/")]
    assert f"/store/{second.digest}" in stored
    assert f"/store/{first.digest}" not in stored


def test_the_first_use_records_the_digest_and_later_ones_keep_it(
    registry: PublicRegistry, digest: str, tmp_path: Path
) -> None:
    table = table_of(tmp_path, registry.image)
    base = base_of("aws-lambda", tmp_path / "work", table)
    assert read_table(table)["aws-lambda"].digest == digest
    assert (base.python, base.entrypoint) == ("3.13", ("/lambda-entrypoint.sh",))
    assert (root_of(base.layers, tmp_path / "work") / "etc/two").read_bytes() == b"2"
    newer = registry.add_image(archive("etc/three", b"3"), config=CONFIG)
    registry.add_index(amd64=newer)
    assert base_of("aws-lambda", tmp_path / "work", table) == base
    assert renew([], table) == 0
    assert read_table(table)["aws-lambda"].digest == newer
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def tampered(registry: PublicRegistry, digest: str) -> None:
    layer = json.loads(registry.manifests[digest])["layers"][0]
    registry.blobs[layer["digest"]] = b"other bytes"


def longer(registry: PublicRegistry, digest: str) -> None:
    layer = json.loads(registry.manifests[digest])["layers"][1]
    registry.blobs[layer["digest"]] += b"0" * 5000


def other_manifest(registry: PublicRegistry, digest: str) -> None:
    registry.manifests[digest] += b" "


def other_settings(registry: PublicRegistry, digest: str) -> None:
    registry.blobs[json.loads(registry.manifests[digest])["config"]["digest"]] = b"{}"


def gone(registry: PublicRegistry, digest: str) -> None:
    del registry.manifests[digest]


def not_json(registry: PublicRegistry, digest: str) -> None:
    registry.status = 200
    registry.manifests[digest] = b"<html>"


def down(registry: PublicRegistry, digest: str) -> None:
    registry.status = 503


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (tampered, "came damaged"),
        (longer, "came damaged"),
        (other_manifest, "came damaged"),
        (other_settings, "came damaged"),
        (not_json, "no JSON"),
        (gone, "answered 404"),
        (down, 'answered 503 .* take the base "debian"'),
    ],
)
def test_what_is_not_what_its_digest_says_is_refused(
    registry: PublicRegistry,
    digest: str,
    tmp_path: Path,
    fault: Callable[[PublicRegistry, str], None],
    said: str,
) -> None:
    fault(registry, digest)
    blobs = tmp_path / "blobs"
    with pytest.raises(ImageError, match=said):
        pull(registry.image, digest, blobs)
    kept = [path for path in blobs.iterdir()] if blobs.exists() else []
    assert all(digest_of(path.read_bytes()) == f"sha256:{path.name}" for path in kept)


Json = dict[str, Any]


def _another_layer(manifest: Json) -> None:
    manifest["config"] = manifest["layers"][0]


def _outside(manifest: Json) -> None:
    manifest["layers"][0]["digest"] = "sha256:../../outside"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_another_layer, "no JSON"),
        (_outside, "answered 404"),
        (lambda manifest: manifest.update(config=None), "not those of an image"),
        (lambda manifest: manifest.update(config=[]), "not those of an image"),
        (lambda manifest: manifest.update(layers="text"), "not those of an image"),
        (lambda manifest: manifest.update(layers=[5, 6]), "not those of an image"),
        (lambda manifest: manifest.pop("layers"), "not those of an image"),
        (lambda manifest: manifest["layers"].pop(), "other layers than its settings"),
        (lambda manifest: manifest["layers"][0].update(size="large"), "not those of an image"),
        (lambda manifest: manifest.update(manifests={"a": 1}), "not those of an image"),
        (lambda manifest: manifest.update(manifests=[5]), "not those of an image"),
        (lambda manifest: manifest.update(manifests=[]), "none for linux/amd64"),
    ],
)
def test_a_manifest_that_is_none_is_refused_whatever_its_digest(
    registry: PublicRegistry,
    digest: str,
    tmp_path: Path,
    change: Callable[[Json], object],
    said: str,
) -> None:
    manifest = json.loads(registry.manifests[digest])
    change(manifest)
    other = registry.add(manifest)
    found = message(lambda: pull(registry.image, other, tmp_path / "work/blobs"))
    assert said in found
    assert [path.name for path in tmp_path.iterdir()] in ([], ["work"])


FULL = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from images.registry.pull import pull
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
pull(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
"""


def test_a_disk_that_takes_no_more_bytes_is_not_called_a_registry_that_fails(
    registry: PublicRegistry, tmp_path: Path
) -> None:
    """The kernel's limit on a file's size ends a write in the middle, as a full disk does."""
    digest = registry.add_image(archive("etc/one", os.urandom(2_000_000)), config=CONFIG)
    blobs = tmp_path / "blobs"
    command = [sys.executable, "-c", FULL, str(ROOT), registry.image, digest, str(blobs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == f"OSError: [Errno 27] File too large: {str(blobs)!r}"
    assert list(blobs.iterdir()) == []


def test_layers_of_another_kind_are_refused(registry: PublicRegistry, tmp_path: Path) -> None:
    digest = registry.add_image(*ARCHIVES, kind="tar+zstd")
    assert "tar+zstd" in message(lambda: pull(registry.image, digest, tmp_path))


def test_without_a_network_the_message_names_the_registry_and_the_other_base(
    tmp_path: Path,
) -> None:
    with public_registry() as stopped:
        pass
    table = table_of(tmp_path, stopped.image)
    before = table.read_bytes()
    said = message(lambda: base_of("aws-lambda", tmp_path / "work", table))
    assert stopped.image in said
    assert "cannot be reached" in said
    assert 'the base "debian"' in said
    assert renew([], table) == 1
    assert table.read_bytes() == before


def test_a_base_that_is_not_in_the_table_is_refused_with_those_that_are(tmp_path: Path) -> None:
    assert "aws-lambda, python-slim, debian" in message(lambda: base_of("alpine", tmp_path))
    shutil.copy(TABLE, tmp_path / "bases.json")
    with pytest.raises(SystemExit, match="aws-lambda"):
        renew(["alpine"], tmp_path / "bases.json")
