"""A function that does what its event says, in place of the one of an image, and the image's own."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from images.isolation.limits import Limits
from images.oci.layout import Json, Settings
from images.running.copy import Answer
from images.running.function import Function

# Its answer says what a program sees of the machine; `use_mb`, `spin_s`, `sleep_s` and `exit` are done first.
HANDLER = """
import os, sys, threading, time

def written(path):
    try:
        with open(path, "w") as file:
            file.write("1")
    except OSError as error:
        return error.strerror
    os.remove(path)
    return "written"

def handler(event, context):
    begun, used = time.time(), time.process_time()
    if event.get("use_mb"):
        kept = bytearray(event["use_mb"] << 20)
        kept[::4096] = b"1" * len(kept[::4096])
    while time.time() < begun + event.get("spin_s", 0):
        pass
    spent = time.process_time() - used
    time.sleep(event.get("sleep_s", 0))
    if "exit" in event:
        os._exit(event["exit"])
    return {
        "spent_s": spent,
        "begun": begun,
        "ended": time.time(),
        "user": [os.getuid(), os.getgid(), os.getgroups()],
        "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
        "root": sorted(os.listdir("/")),
        "devices": sorted(os.listdir("/dev")),
        "written": {path: written(path + "/file") for path in event.get("paths", ())},
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "capabilities": [
            line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapPrm", "CapEff"))
        ],
        "no_new_privileges": "NoNewPrivs:\\t1" in open("/proc/self/status").read(),
        "files": __import__("resource").getrlimit(__import__("resource").RLIMIT_NOFILE),
        "tmp_mb": os.statvfs("/tmp").f_blocks * os.statvfs("/tmp").f_frsize >> 20,
    }
"""
MODULE = "does_as_told"
# What a program must not be able to write to, in an image of Debian's base.
FOLDERS = ("", "/var/task", "/usr", "/dev", "/proc", "/etc", "/run", "/tmp")


def does_as_told(config: Json, memory_mb: int = 1769, timeout_s: int = 20) -> Function:
    """Return the function of HANDLER, a module of its own in an image with that config."""
    of_image = Settings.read(config["config"])
    settings = Settings(
        environment=of_image.environment,
        working_dir=of_image.working_dir,
        entrypoint=of_image.entrypoint,
        command=(f"{MODULE}.handler",),
    )
    limits = Limits(memory_mb=memory_mb)
    return Function(name="told", settings=settings, limits=limits, timeout_s=timeout_s)


def event(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def post(url: str, payload: bytes) -> Answer:
    """Send a request over HTTP."""
    try:
        with urllib.request.urlopen(url, data=payload, timeout=60) as response:
            return Answer(status=response.status, body=response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(status=error.code, body=error.read())


def document(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def check_isolated(seen: dict[str, Any]) -> None:
    """Check that a function sees what it would see on Lambda, and nothing of this machine."""
    assert seen["user"][:2] == [993, 990]
    assert seen["processes"][0] == 1
    assert len(seen["processes"]) <= 3
    assert seen["folder"] == "/var/task"
    assert [path for path, said in seen["written"].items() if said == "written"] == ["/tmp"]
    assert "shm" not in seen["devices"]
    assert {"null", "urandom", "zero"} <= set(seen["devices"])
    assert set(seen["capabilities"]) == {"0" * 16}
    assert seen["no_new_privileges"]
    assert seen["files"] == [1024, 1024]
    assert seen["tmp_mb"] == 512
    environment = seen["environment"]
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "told"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "1769"
    assert environment["OPENBLAS_NUM_THREADS"] == "1"
    # An engine adds HOME and HOSTNAME.
    assert not {"USER", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST"} & set(environment)


def put_modules(root: Path) -> None:
    """Write a function that does as it is told, and one that cannot be imported."""
    (root / f"var/task/{MODULE}.py").write_text(HANDLER, "utf-8")
    (root / "var/task/broken.py").write_text("import nothing_of_this_name\n", "utf-8")


def gone(processes: Iterable[int]) -> bool:
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{one}").exists() for one in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
