"""`turnout image` on a disk that fills up, killed in the middle, and twice at once leaves nothing half-made."""

import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from images.folders.half_made import PREFIX, half_made
from images.layer import Entry
from images.made.record import FILE, read_record
from images.oci.layout import Settings
from images.oci.reading import read_layout
from images.registry.push import Destination
from images.slimming.proof import Slimmed, restored
from tests.fixtures.paths import ROOT
from tests.images.making import unasked
from tests.images.registry.uploads import upload_registry
from tests.turnout.image.test_making import runtime, wanted
from turnout.image.making import image
from turnout.image.pushing import push_recorded
from turnout.terminal import exit_with_message

NAME = "shop-words-cpu"
DISK_KIB = 8 << 10
BLOCK = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "none", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def leave(disk: Path, kib: int) -> None:
    """Fill a disk up to some KiB."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    free = os.statvfs(disk).f_bavail * BLOCK
    ballast.write_bytes(bytes(free - (kib << 10)))


def digest(folder: Path) -> str:
    return str(read_layout(folder).descriptors[0]["digest"])


def half_of(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob(f"{PREFIX}*")]


def make(out: Path, folder: Path, base: str, log: Console | None = None) -> None:
    log = log or Console(file=io.StringIO())
    image(wanted(out, NAME, base=base), folder / "images", folder / "work", log, runtime, unasked)


def attempted(out: Path, folder: Path, base: str) -> OSError | None:
    """Make an image; return the error of the system that ends it, if one does."""
    try:
        make(out, folder, base)
    except OSError as error:
        return error
    return None


def test_a_disk_that_fills_up_ends_it_with_the_older_image_in_its_place(
    out: Path, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = disk / "images"
    make(out, disk, "first")
    listed = sorted(os.listdir(images))
    outcomes = []
    for kib in (0, 32, 160, 288, 2048):
        leave(disk, kib)
        older = digest(images / NAME)
        error = attempted(out, disk, f"with {kib}")
        outcomes.append("full" if error else "made")
        if error:
            assert error.errno == errno.ENOSPC
            assert str(error.filename).startswith(str(disk))
            assert digest(images / NAME) == older
        assert sorted(os.listdir(images)) == listed
        assert half_of(images, disk / "work") == []
        assert read_record(images).made[NAME].digest == digest(images / NAME)
    assert (outcomes[0], outcomes[-1]) == ("full", "made")
    leave(disk, 0)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit):
        exit_with_message(lambda: make(out, disk, "last"), Console(stderr=True))
    signal.signal(signal.SIGTERM, before)
    said = capsys.readouterr().err
    assert said.startswith(f"error[disk_full]: {disk}")
    assert said.endswith("No space left on device; free some on its disk, and try again\n")


def test_a_proof_on_a_full_disk_names_it_once(disk: Path, tmp_path: Path) -> None:
    files = tmp_path / "root"
    for number in range(9):
        (files / f"{number}").mkdir(parents=True)
        (files / f"{number}/file").write_bytes(bytes(5 * BLOCK))
    piece = (Entry(path="more/file", source=bytes(BLOCK)),)
    slimmed = Slimmed(root=files, settings=Settings(), pieces={"more": piece})
    leave(disk, 64)
    with pytest.raises(OSError, match="No space left on device") as caught, half_made(disk) as half:
        restored(slimmed, ["more"], half / "root")
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(disk) == ["ballast"]


# What other programs write: bytecode into the folder of temporary files, and the files of Debian's packages.
PROGRAMS = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from images.debian.apt import unpack
from images.layer import Entry
from tests.images.making import TO_BYTECODE
if sys.argv[2] == "bytecode":
    TO_BYTECODE([Entry(path="a.py", source=b"A = 1")])
else:
    unpack([Path(sys.argv[3])], Path(sys.argv[4]))
"""


@pytest.mark.parametrize("program", ["bytecode", "dpkg"])
def test_a_full_disk_of_another_program_is_named(disk: Path, tmp_path: Path, program: str) -> None:
    (tmp_path / "shop/DEBIAN").mkdir(parents=True)
    fields = "Package: shop\nVersion: 1\nArchitecture: all\nMaintainer: Nobody\nDescription: x\n"
    (tmp_path / "shop/DEBIAN/control").write_text(fields, "utf-8")
    (tmp_path / "shop/large").write_bytes(os.urandom(64 * BLOCK))
    deb = tmp_path / "shop.deb"
    command = ["dpkg-deb", "--build", str(tmp_path / "shop"), str(deb)]
    subprocess.run(command, check=True, capture_output=True)
    # Python takes another folder for its temporary files where not even one can be written.
    leave(disk, 4 if program == "bytecode" else 64)
    given = (str(ROOT), program, str(deb), str(disk / "root"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS, *given],
        env={**os.environ, "TMPDIR": str(disk)},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"OSError: [Errno 28] No space left on device: '{disk}")


def test_images_that_were_pushed_by_a_full_disk_are_recorded_by_the_next_push(
    out: Path, disk: Path
) -> None:
    images, log = disk / "images", Console(file=io.StringIO())
    places = (images, disk / "work", log, runtime, unasked)
    made = image(wanted(out, NAME), *places)
    leave(disk, 0)
    with upload_registry() as registry:
        to = Destination(host=registry.host)
        with pytest.raises(OSError, match="No space left on device") as caught:
            push_recorded(made, to, images, log)
        assert str(caught.value.filename) == str(images / FILE)
        assert (list(read_record(images).pushed), half_of(images)) == ([], [])
        assert len(registry.manifests) > 0
        leave(disk, 1024)
        [pushed] = push_recorded(made, to, images, log)
        assert pushed["pushed"]["sent"] == 0
    assert read_record(images).pushed[NAME].reference == pushed["pushed"]["reference"]


# The arguments: the repository, artefacts, a folder, a base, and where it is stopped.
STOPPED = """
import io, os, signal, sys
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
from pathlib import Path
from rich.console import Console
from tests.images.making import unasked
from tests.turnout.image.test_making import runtime, wanted
from turnout.image.making import image
out, folder, name, base, where = sys.argv[2:]
def stop(*given):
    if where == "waits":
        print("waits", flush=True)
        sys.stdin.read()
    else:
        os.kill(os.getpid(), signal.SIGKILL)
def stopped(*given):
    made = runtime(*given)
    return replace(made, bytecode=stop) if where == "layers" else made
def ask(contents, work):
    return lambda layout: stop() or unasked(contents, work)(layout)
places = (Path(folder, "images"), Path(folder, "work"), Console(file=io.StringIO()))
image(wanted(Path(out), name, base=base), *places, stopped, ask)
"""


def stopped(out: Path, folder: Path, name: str, where: str) -> subprocess.Popen[str]:
    given = (str(ROOT), str(out), str(folder), name, "second", where)
    command = [sys.executable, "-c", STOPPED, *given]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("where", "left"), [("layers", {"work"}), ("probe", {"images", "work"})])
def test_a_run_after_one_that_was_killed_removes_what_that_left(
    out: Path, tmp_path: Path, where: str, left: set[str]
) -> None:
    images, work = tmp_path / "images", tmp_path / "work"
    make(out, tmp_path, "first")
    before = digest(images / NAME)
    with stopped(out, tmp_path, NAME, where) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert {path.relative_to(tmp_path).parts[0] for path in half_of(images, work)} == left
    assert digest(images / NAME) == before
    assert read_record(images).made[NAME].digest == before
    make(out, tmp_path, "second")
    assert half_of(images, work) == []
    assert read_record(images).made[NAME].digest == digest(images / NAME) != before


def test_of_two_runs_in_one_folder_the_second_waits_and_both_images_are_recorded(
    out: Path, tmp_path: Path
) -> None:
    log = Console(file=io.StringIO(), width=200)
    assert isinstance(log.file, io.StringIO)
    with stopped(out, tmp_path, "shop-intents-cpu", "waits") as first:
        assert first.stdin
        assert first.stdout
        assert first.stdout.readline() == "waits\n"
        second = threading.Thread(target=make, args=(out, tmp_path, "second", log))
        second.start()
        deadline = time.monotonic() + 20
        while "this one waits for it" not in log.file.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not (tmp_path / "images" / NAME).exists()
        first.stdin.close()
        second.join(60)
        assert first.wait(60) == 0
    record = read_record(tmp_path / "images")
    assert sorted(record.made) == ["shop-intents-cpu", NAME]
    for name, row in record.made.items():
        assert digest(tmp_path / "images" / name) == row.digest
    assert half_of(tmp_path) == []
