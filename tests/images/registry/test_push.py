"""Images arrive whole at a registry, whatever its faults, and what is there already is not sent."""

import pytest

from images.registry.push import Destination, Image, Moved, Push, destination
from images.registry.upload import PAUSES
from tests.images.registry.pushes import CHUNK, Pusher, arrived
from tests.images.registry.uploads import UploadRegistry


def test_images_arrive_whole_and_what_they_share_is_sent_once(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    first, second = images
    moved = push(first, second)
    assert arrived(registry, first)
    assert arrived(registry, second)
    assert moved[0] == Moved(sent=first.size)
    shared = {blob.digest for blob in first.blobs} & {blob.digest for blob in second.blobs}
    assert len(shared) == 2
    assert moved[1].there == sum(blob.size for blob in second.blobs if blob.digest in shared)
    assert moved[1].sent + moved[1].there == second.size
    # All bytes that the registry received are those that are reported as sent.
    assert registry.received == moved[0].sent + moved[1].sent
    assert len(registry.sent("PATCH")) == 12
    # Manifests come after the last blob of all images.
    methods = [path for method, path in registry.requests if method == "PUT"]
    assert ["/manifests/" in path for path in methods[-2:]] == [True, True]
    assert not any("/manifests/" in path for path in methods[:-2])


def test_a_second_push_sends_nothing(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    push(*images)
    registry.requests.clear()
    assert push(*images) == [Moved(there=image.size) for image in images]
    assert {method for method, _ in registry.requests} == {"HEAD"}


def test_progress_ends_at_the_size_of_each_image(images: list[Image], push: Pusher) -> None:
    push(*images)
    for image in images:
        of_image = [moved for name, moved in push.told if name == image.name]
        done = [moved.sent + moved.there for moved in of_image]
        assert (done[0], done[-1], max(done)) == (0, image.size, image.size)
        assert len(set(done)) > 8
        assert done == sorted(done)


@pytest.mark.parametrize("cut_at", [1, 500, 999])
def test_an_upload_goes_on_where_the_connection_was_cut(
    registry: UploadRegistry, images: list[Image], push: Pusher, cut_at: int
) -> None:
    image = images[0]
    registry.cuts = [cut_at] * 3
    assert push(image) == [Moved(sent=image.size)]
    assert arrived(registry, image)
    assert push.pauses
    assert any(
        path.startswith("/v2/team/shop-intents-cpu/blobs/uploads/") for path in registry.sent("GET")
    )
    # What came before each cut was not sent again.
    if cut_at > 1:
        assert registry.received == image.size - 3 * cut_at


@pytest.mark.parametrize(
    ("method", "status", "code"),
    [("PATCH", 404, "BLOB_UPLOAD_INVALID"), ("PUT", 400, "DIGEST_INVALID")],
)
def test_a_registry_that_still_writes_what_was_cut_is_asked_again(
    registry: UploadRegistry,
    images: list[Image],
    push: Pusher,
    method: str,
    status: int,
    code: str,
) -> None:
    def told_with_fault(name: str, moved: Moved) -> None:
        if registry.cuts == [] and method not in registry.answers:
            registry.answers[method] = [(status, {"errors": [{"code": code}]})]

    # The config, which is sent whole, is smaller than this.
    registry.cuts = [900]
    to = Destination(host=registry.host, prefix="team")
    Push(to, None, told_with_fault, push.pauses.append, CHUNK).run(images[:1])
    assert registry.answers[method] == []
    assert arrived(registry, images[0])
    assert len(push.pauses) == 2


def test_an_upload_that_the_registry_forgot_begins_anew(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    registry.cuts, registry.forgets = [700, 700], True
    push(images[0])
    assert arrived(registry, images[0])


def test_a_blob_is_sent_whole_where_chunks_are_refused(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    registry.chunks = False
    push(images[0])
    assert arrived(registry, images[0])
    # Also if that is cut in the middle: then it can only be sent anew.
    registry.cuts = [2_500]
    push(images[1])
    assert arrived(registry, images[1])


def test_chunks_are_as_large_as_the_registry_wants(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    registry.smallest_chunk = 3_000
    push(images[0])
    assert arrived(registry, images[0])
    assert len(registry.sent("PATCH")) == 2


def test_a_blob_is_sent_where_mounts_are_refused(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    registry.mounts = False
    moved = push(*images)
    assert any("mount=" in path for path in registry.sent("POST"))
    assert moved[1] == Moved(sent=images[1].size)
    assert arrived(registry, images[1])


def test_errors_that_pass_are_waited_for(
    registry: UploadRegistry, images: list[Image], push: Pusher
) -> None:
    registry.answers = {"PATCH": [(503, {}), (429, {}), (500, {}), (416, {})], "HEAD": [(502, {})]}
    push(images[0])
    assert arrived(registry, images[0])
    assert push.pauses[:4] == [PAUSES[0], PAUSES[0], PAUSES[1], PAUSES[2]]


def test_a_destination_is_a_registry_and_a_prefix() -> None:
    ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    for text, host, repository in (
        (f"{ecr}/shop", ecr, "shop/router"),
        (ecr, ecr, "router"),
        ("localhost:5000/a/b/", "localhost:5000", "a/b/router"),
        ("localhost/a", "localhost", "a/router"),
        ("[::1]:5000/a", "[::1]:5000", "a/router"),
        ("docker.io/me", "registry-1.docker.io", "me/router"),
    ):
        found = destination(text)
        assert (found.host, found.repository("router")) == (host, repository)
    for text in (
        "me",
        "me/prefix",
        "a.example/Shop",
        "https://a.example/x",
        "a.example/../x",
        "a.example/x:1",
        "",
    ):
        with pytest.raises(ValueError, match="REGISTRY/PREFIX"):
            destination(text)
