"""A push that cannot be done says why and how to go on, and leaves no tag to half an image."""

import io
import re
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from images.blob import blob_path
from images.errors import ImageError, PushError
from images.oci.layout import BLOBS
from images.registry.connection import Connection
from images.registry.failures import push_error
from images.registry.push import Image, Moved, read_images
from images.registry.upload import PAUSES
from tests.images.layouts import changed
from tests.images.registry.pushes import Pusher, arrived, weights_of
from tests.images.registry.server import digest_of
from tests.images.registry.uploads import UploadRegistry, upload_registry


def test_a_registry_that_dies_in_mid_push_leaves_no_tag_and_the_next_push_goes_on(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    image = images[0]
    registry.answers = {"PATCH": [(503, {})] * 7}
    said = push.refused(*images)
    assert "registry_unreachable" in said
    assert weights_of(image).digest in said
    assert "push again" in said
    assert len(push.pauses) == len(PAUSES)
    registry.answers = {}
    there = sum(
        blob.size for blob in image.blobs if blob.digest in registry.digests(f"team/{image.name}")
    )
    assert there > 0
    assert push(*images)[0] == Moved(sent=image.size - there, there=there)
    assert all(arrived(registry, image) for image in images)


def test_a_registry_that_is_not_there_is_named(tmp_path: Path, images: list[Image]) -> None:
    with upload_registry() as stopped:
        pass
    said = Pusher(stopped).refused(images[0])
    assert "registry_unreachable" in said
    assert f"{stopped.host}/team/shop-intents-cpu" in said


ERROR = {"errors": [{"code": "DENIED", "message": "no\x1b[31m more"}]}


@pytest.mark.parametrize(
    ("method", "status", "document", "said"),
    [
        ("POST", 403, ERROR, "registry_denied: .*answered 403 no.31m more; `docker login"),
        (
            "POST",
            404,
            {"errors": [{"code": "NAME_UNKNOWN"}]},
            "repository_missing: .*make the repo",
        ),
        ("PATCH", 413, {}, "registry_refused: .*raise the largest request"),
        ("PATCH", 412, ERROR, "registry_refused: .*have the quota raised"),
        ("PUT", 403, ERROR, "registry_denied"),
        ("PUT", 400, {"errors": [{"code": "DIGEST_INVALID"}]}, "registry_refused: .*bytes changed"),
        ("PUT", 400, {"errors": 3}, "registry_refused: .*answered 400 Bad Request"),
        ("PATCH", 200, {}, "registry_unreachable: .*answered 200 in place of 202"),
    ],
)
def test_a_refusal_says_what_to_do_and_leaves_no_tag(
    registry: UploadRegistry,
    images: list[Image],
    push: Pusher,
    method: str,
    status: int,
    document: dict[str, Any],
    said: str,
) -> None:
    registry.answers = {method: [(status, document)]}
    found = push.refused(images[0]).replace("\n", " ")
    assert re.match(said, found)
    assert "\x1b" not in found
    assert push.pauses == []


def test_a_missing_repository_of_ecr_comes_with_the_command_that_makes_it() -> None:
    host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    error = HTTPError(
        "", 404, "Not Found", Message(), io.BytesIO(b'{"errors": [{"code": "NAME_UNKNOWN"}]}')
    )
    said = str(push_error(Connection(host, "shop/router"), "blob", error))
    assert "aws ecr create-repository --region eu-west-1 --repository-name shop/router" in said


@pytest.mark.parametrize("part", ["blob", "manifest"])
def test_a_registry_that_names_another_digest_is_not_trusted(
    registry: UploadRegistry, images: list[Image], push: Pusher, part: str
) -> None:
    if part == "manifest":
        push(*images)
        registry.manifests.clear()
    registry.wrong_digest = digest_of(b"other")
    with pytest.raises(PushError, match=f"{part} sha256.*has it as {digest_of(b'other')}"):
        push(*images)
    assert push.pauses == []


def flipped(folder: Path, image: Image) -> str:
    path = weights_of(image).path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()  # The other image has a link to the same file.
    path.write_bytes(data)
    return str(weights_of(image).digest)


def missing(folder: Path, image: Image) -> str:
    weights_of(image).path.unlink()
    return str(weights_of(image).digest)


def linked(folder: Path, image: Image) -> str:
    path = weights_of(image).path
    copy = folder.parent / "copy"
    path.rename(copy)
    path.symlink_to(copy)
    return str(weights_of(image).digest)


def edited(folder: Path, image: Image) -> str:
    path = blob_path(folder / BLOBS, image.digest)
    path.write_bytes(image.manifest + b" ")
    return image.digest


def of_two(folder: Path, image: Image) -> str:
    changed(folder, index=lambda index: index["manifests"].append(index["manifests"][0]))
    return "more than one image"


@pytest.mark.parametrize("tamper", [flipped, missing, linked, edited, of_two])
def test_a_tampered_image_is_named_before_anything_is_sent(
    folders: list[Path], images: list[Image], tamper: Callable[[Path, Image], str]
) -> None:
    named = tamper(folders[1], images[1])
    with pytest.raises(ImageError) as caught:
        read_images(folders)
    assert named in str(caught.value)
    assert str(folders[1]) in str(caught.value)
    assert str(folders[0]) not in str(caught.value)


@pytest.mark.parametrize("cut", [True, False])
def test_a_blob_that_is_gone_or_cut_short_while_it_is_sent_is_named(
    registry: UploadRegistry, images: list[Image], push: Pusher, cut: bool
) -> None:
    path = weights_of(images[0]).path
    path.write_bytes(path.read_bytes()[:2_500]) if cut else path.unlink()
    with pytest.raises(ImageError, match=f"{path.name}.*\n.*changed while it was sent"):
        push(images[0])
    assert registry.manifests == {}
    assert push.pauses == []


def test_a_blob_that_changes_after_it_was_checked_is_refused_by_its_digest(
    registry: UploadRegistry, folders: list[Path], images: list[Image], push: Pusher
) -> None:
    flipped(folders[0], images[0])
    assert "build the image again" in push.refused(images[0])
