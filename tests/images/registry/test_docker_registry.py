"""Docker's own registry takes what is pushed and gives it back; only where Debian's `docker-registry` is installed."""

import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.layer import Entry, write_layer
from images.oci.layout import write_layout
from images.registry.pull import pull
from images.registry.push import Destination, Moved, Push, read_images
from tests.images.layouts import BASE, SETTINGS

CHUNK = 2 << 20

pytestmark = pytest.mark.skipif(
    not shutil.which("docker-registry"), reason="Debian's docker-registry is not installed"
)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """The address of a running registry."""
    host = f"127.0.0.1:{free_port()}"
    config = tmp_path / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {tmp_path}/store\n"
        f"http:\n  addr: {host}\n",
        "utf-8",
    )
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            ["docker-registry", "serve", str(config)], stdout=log, stderr=log
        )
    try:
        name, _, port = host.partition(":")
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection((name, int(port)), 1).close()
                break
            except OSError:
                assert time.monotonic() < until, (tmp_path / "log").read_text("utf-8")
                time.sleep(0.05)
        yield host
    finally:
        running.terminate()
        running.wait()


def test_images_are_pushed_in_spite_of_cuts_and_pulled_again(host: str, tmp_path: Path) -> None:
    for seed, name in enumerate(("first", "second")):
        weights = Entry(path="var/task/model/w", source=random.Random(seed).randbytes(5 << 20))
        layers = [
            (kind, write_layer(entries, tmp_path / "work"))
            for kind, entries in (("base", BASE), ("weights", (weights,)))
        ]
        write_layout(tmp_path / name, name, layers, SETTINGS)
    images = read_images([tmp_path / "first", tmp_path / "second"])
    small = sum(blob.size for blob in images[0].blobs[:2])
    reached: list[int] = []
    cuts: list[int] = []

    def told(name: str, moved: Moved) -> None:
        reached.append(moved.sent)
        # In the middle of the first chunk, and then once its answer has come, which tells of its end a second time.
        in_chunk = not cuts and moved.sent == small + (1 << 20)
        after_chunk = len(cuts) == 1 and reached[-2:] == [small + CHUNK] * 2
        if in_chunk or after_chunk:
            cuts.append(len(reached))
            raise ConnectionError("cut")

    def push() -> list[Moved]:
        to = Destination(host=host, prefix="team/shop")
        return Push(to, None, told, lambda _: time.sleep(0.05), CHUNK).run(images)

    first, second = push()
    # Docker's registry forgets an upload that is cut in the middle of a chunk, and goes on with one after a chunk.
    in_chunk, after_chunk = cuts
    assert reached[in_chunk] == small
    assert reached[after_chunk] == small + CHUNK
    assert first == Moved(sent=images[0].size)
    base = images[1].blobs[1]
    assert second == Moved(sent=images[1].size - base.size, there=base.size)
    assert push() == [Moved(there=image.size) for image in images]
    for image in images:
        pulled = pull(
            f"{host}/team/shop/{image.name}:{image.tag}", image.digest, tmp_path / image.name / "p"
        )
        assert [layer.digest for layer in pulled.layers] == [
            blob.digest for blob in image.blobs[1:]
        ]
        assert [layer.blob.read_bytes() for layer in pulled.layers] == [
            blob.path.read_bytes() for blob in image.blobs[1:]
        ]
