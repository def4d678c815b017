"""Layouts are written whole, read with every digest checked, and hold an image as registries take it."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from images.blob import blob_path, new_blob
from images.errors import ImageError
from images.layer import Entry, Layer, write_layer
from images.oci.layout import Settings, write_layout
from images.oci.reading import read_layout
from tests.fixtures.paths import ROOT
from tests.images.layouts import BASE, CODE, SETTINGS, Document, changed, small


def blobs(image: Path) -> list[Path]:
    return sorted((image / "blobs/sha256").iterdir())


def problems(image: Path) -> list[str]:
    with pytest.raises(ImageError) as caught:
        read_layout(image)
    assert {problem.code for problem in caught.value.problems} == {"image_damaged"}
    return [problem.message for problem in caught.value.problems]


def test_a_layout_has_the_image_as_it_was_given(tmp_path: Path) -> None:
    layout = read_layout(small(tmp_path))
    assert layout.config == {
        "architecture": "amd64",
        "config": {
            "Cmd": ["handler.handler"],
            "Entrypoint": ["/bin/python3", "-m", "awslambdaric"],
            "Env": ["LANG=C.UTF-8", "TZ=:UTC"],
            "WorkingDir": "/var/task",
        },
        "created": "1970-01-01T00:00:00Z",
        "history": [
            {"created": "1970-01-01T00:00:00Z", "created_by": "base"},
            {"created": "1970-01-01T00:00:00Z", "created_by": "code"},
        ],
        "os": "linux",
        "rootfs": {
            "diff_ids": [write_layer(entries, tmp_path).diff_id for entries in (BASE, CODE)],
            "type": "layers",
        },
    }
    names = [[member.name for member in layer.members] for layer in layout.layers]
    assert names == [
        ["bin", "usr", "usr/bin", "usr/bin/python3", "usr/bin/python3.11"],
        ["var", "var/task", "var/task/handler.py"],
    ]
    assert {layer.size for layer in layout.layers} == {10_240}


def test_an_image_is_the_same_whenever_it_is_written_and_is_named(tmp_path: Path) -> None:
    first = small(tmp_path / "first")
    second = small(tmp_path / "second")
    assert [path.read_bytes() for path in blobs(first)] == [
        path.read_bytes() for path in blobs(second)
    ]
    (image,) = json.loads((first / "index.json").read_text("utf-8"))["manifests"]
    assert image["annotations"] == {"org.opencontainers.image.ref.name": "small"}
    assert image["platform"] == {"architecture": "amd64", "os": "linux"}
    assert len(blobs(first)) == 4


def test_a_user_is_written_and_equal_layers_share_a_blob(tmp_path: Path) -> None:
    layer = write_layer(CODE, tmp_path)
    image = tmp_path / "image"
    write_layout(image, "x", [("a", layer), ("b", layer)], Settings(user="1000"))
    assert read_layout(image).config["config"] == {"User": "1000", "WorkingDir": "/"}
    assert len(blobs(image)) == 3


def test_an_image_takes_the_place_of_an_older_one_and_leaves_nothing_beside_it(
    tmp_path: Path,
) -> None:
    small(tmp_path)
    layer = write_layer([Entry(path="other", source=b"")], tmp_path / "work")
    digest = write_layout(tmp_path / "image", "small", [("other", layer)], SETTINGS)
    assert [blob.name for blob in blobs(tmp_path / "image")].count(digest[7:]) == 1
    assert len(blobs(tmp_path / "image")) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image", "work"]


def test_an_image_that_cannot_be_written_leaves_the_older_one_as_it_was(tmp_path: Path) -> None:
    image = small(tmp_path)
    before = [path.name for path in blobs(image)]
    gone = write_layer([Entry(path="gone", source=b"")], tmp_path / "work")
    gone.blob.unlink()
    with pytest.raises(FileNotFoundError):
        write_layout(image, "small", [("gone", gone)], SETTINGS)
    assert [path.name for path in blobs(image)] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image", "work"]
    read_layout(image)


def test_every_byte_of_every_blob_is_checked(tmp_path: Path) -> None:
    image = small(tmp_path)
    for blob in blobs(image):
        copy = tmp_path / "copy"
        shutil.copytree(image, copy)
        data = bytearray(blob.read_bytes())
        data[len(data) // 2] ^= 1
        (copy / "blobs/sha256" / blob.name).write_bytes(data)
        assert problems(copy) == [
            f"the blob sha256:{blob.name} does not have the bytes of its name; build the image again"
        ]
        shutil.rmtree(copy)


def test_all_damaged_layers_are_named_at_once(tmp_path: Path) -> None:
    image = small(tmp_path)
    layers = [layer.digest[7:] for layer in (write_layer(e, tmp_path) for e in (BASE, CODE))]
    (image / "blobs/sha256" / layers[0]).unlink()
    os.truncate(image / "blobs/sha256" / layers[1], 100)
    assert problems(image) == [
        f"the blob sha256:{layers[0]} is missing; build the image again",
        f"the blob sha256:{layers[1]} does not have the bytes of its name; build the image again",
    ]


@pytest.mark.parametrize("name", ["index.json", "oci-layout"])
@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "[" * 100_000, "{}", "\xff"])
def test_a_file_that_is_cut_short_or_something_else_is_named(
    tmp_path: Path, name: str, text: str
) -> None:
    image = small(tmp_path)
    (image / name).write_text(text, "latin-1")
    (message,) = problems(image)
    assert message.endswith("build the image again")


def test_a_layout_without_its_index_is_named(tmp_path: Path) -> None:
    image = small(tmp_path)
    (image / "index.json").unlink()
    assert problems(image) == [
        "index.json cannot be read (No such file or directory); build the image again"
    ]


def test_a_blob_of_another_size_than_its_descriptor_says_is_refused(tmp_path: Path) -> None:
    """Registries and engines trust the size; a client that reads no further would see another document."""

    def shorter(manifest: Document) -> None:
        manifest["layers"][0]["size"] -= 1

    (message,) = problems(changed(small(tmp_path), manifest=shorter))
    assert "does not have the bytes of its name" in message


def test_a_config_that_is_another_blob_of_the_image_is_named(tmp_path: Path) -> None:
    def layer(manifest: Document) -> None:
        manifest["config"] |= {key: manifest["layers"][0][key] for key in ("digest", "size")}

    (message,) = problems(changed(small(tmp_path / "one"), manifest=layer))
    assert "is no JSON or is cut short; build the image again" in message

    def itself(manifest: Document) -> None:
        manifest["layers"].append(
            {**manifest["config"], "mediaType": manifest["layers"][0]["mediaType"]}
        )

    (message,) = problems(changed(small(tmp_path / "two"), manifest=itself))
    assert "names another number of layers" in message


def test_layers_in_another_order_than_the_configs_are_named(tmp_path: Path) -> None:
    (message,) = problems(
        changed(small(tmp_path), manifest=lambda manifest: manifest["layers"].reverse())
    )
    assert "is not the archive" in message
    assert message.endswith("build the image again")


def test_a_digest_that_leads_to_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}", "utf-8")

    def outside(index: Document) -> None:
        index["manifests"][0]["digest"] = "sha256:../../../secret"

    (message,) = problems(changed(small(tmp_path), index=outside))
    assert "names nothing by its SHA-256" in message


def test_a_blob_that_is_a_link_is_refused(tmp_path: Path) -> None:
    image = small(tmp_path)
    blob = blobs(image)[0]
    moved = blob.rename(tmp_path / "moved")
    blob.symlink_to(moved)
    assert problems(image) == [f"the blob sha256:{blob.name} is missing; build the image again"]
    blob.unlink()
    blob.symlink_to(blob.name)
    assert problems(image) == [f"the blob sha256:{blob.name} is missing; build the image again"]


def test_a_layer_of_another_archive_than_the_config_names_is_refused(tmp_path: Path) -> None:
    def swapped(config: Document) -> None:
        config["rootfs"]["diff_ids"].reverse()

    (message,) = problems(changed(small(tmp_path), config=swapped))
    assert "is not the archive" in message


def test_a_config_with_fewer_layers_than_the_manifest_is_refused(tmp_path: Path) -> None:
    image = changed(small(tmp_path), config=lambda config: config["rootfs"]["diff_ids"].pop())
    assert problems(image) == [
        "its config names another number of layers than its manifest; build the image again"
    ]


def test_bytes_behind_the_end_of_an_archive_are_checked_too(tmp_path: Path) -> None:
    plain = gzip.decompress(write_layer(CODE, tmp_path).blob.read_bytes())
    for tail in (b"", bytes(3_000_000), b"more" * 1_000_000):
        with new_blob(tmp_path) as blob:
            blob.write(gzip.compress(plain + tail, mtime=0))
        diff_id = f"sha256:{hashlib.sha256(plain + tail).hexdigest()}"
        path = blob_path(tmp_path, blob.digest)
        layer = Layer(blob=path, digest=blob.digest, diff_id=diff_id, size=blob.size)
        write_layout(tmp_path / "image", "x", [("x", layer)], SETTINGS)
        assert read_layout(tmp_path / "image").layers[0].size == len(plain + tail)


@pytest.mark.parametrize("data", [b"", b"no gzip", b"\x1f\x8b\x08\x00" + bytes(20)])
def test_a_layer_that_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    image = small(tmp_path)

    def broken(manifest: Document) -> None:
        layer = manifest["layers"][0]
        path = image / "blobs/sha256" / ("a" * 64)
        path.write_bytes(data)
        digest = sha256(path)
        path.rename(path.with_name(digest))
        layer |= {"digest": f"sha256:{digest}", "size": len(data)}

    (message,) = problems(changed(image, manifest=broken))
    assert "is no archive" in message


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from images.layer import Entry, write_layer
from images.oci.layout import Settings, write_layout
folder = Path(sys.argv[2])
layer = write_layer([Entry(path="x", source=b"")], folder / "work")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
write_layout(folder / "image", "small", [("x", layer)], Settings())
"""


def test_a_disk_that_takes_no_more_bytes_leaves_the_older_image(tmp_path: Path) -> None:
    """The kernel's limit on a file's size ends a write in the middle, as a full disk does."""
    image = small(tmp_path)
    before = [path.name for path in blobs(image)]
    command = [sys.executable, "-c", FULL, str(ROOT), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr.splitlines()[-1]
    assert str(tmp_path) in done.stderr.splitlines()[-1]
    assert [path.name for path in blobs(image)] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image", "work"]
    read_layout(image)
