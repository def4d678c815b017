"""Make a small arm64 system in `.turnout/processors/arm64`, where a build runs artefacts on an emulated Graviton2.

It holds Debian's Python with its dependencies, and the worker's packages in the versions of this environment. Nothing
is installed on this machine and root is not needed; QEMU's user mode is.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from build.proof.processors import (
    ARM64,
    GRAVITON2,
    INSTALL,
    NOTE,
    Processor,
    processors_to_check,
    versions,
)
from images.debian import apt

WANTED = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
UNUSED = ("usr/share", "usr/sbin", "var", "bin", "sbin", "usr/lib/*/gconv")
# The files of Linux on a Graviton2: ONNX Runtime reads them to detect the processor, and fails on those of x86-64.
CPUINFO = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp ssbs
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1
"""
FILES = {
    "proc/cpuinfo": CPUINFO,
    "sys/devices/system/cpu/possible": "0\n",
    "sys/devices/system/cpu/present": "0\n",
}
# Fails if ONNX Runtime cannot start, or would not detect the instructions of a Graviton2.
PROOF = (
    "import json, numpy, onnxruntime, tokenizers;"
    "assert 'ASIMDDP' in numpy.show_config(mode='dicts')['SIMD Extensions']['found']"
)


def main() -> None:
    processor = ready()
    if not processor:
        problem = missing()
        if problem:
            sys.exit(f"arm64 cannot be emulated here: {problem}")
        ARM64.parent.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(prefix=".half-", dir=ARM64.parent) as half:
                make(Path(half))
        except subprocess.CalledProcessError as error:
            said = f": {error.stderr.strip()}" if error.stderr else ""
            sys.exit(
                f"no arm64 system was made: {error.cmd[0]} ended with {error.returncode}{said}"
            )
        processor = ready()
    print(f"{ARM64}: {processor.how}" if processor else "the system that was made cannot be used")
    sys.exit(0 if processor else 1)


def ready() -> Processor | None:
    return next(
        (p for p in processors_to_check() if GRAVITON2 in p.how and not p.unavailable), None
    )


def missing() -> str:
    """Return the tools that this machine lacks."""
    qemu = shutil.which("qemu-aarch64")
    if not qemu:
        return INSTALL
    cores = subprocess.run([qemu, "-cpu", "help"], capture_output=True, text=True, check=False)
    if GRAVITON2 not in cores.stdout:
        return f"{qemu} knows no {GRAVITON2}; QEMU 7.0 or newer does"
    tools = apt.missing_tools()
    return f"Debian's {tools}" if tools else ""


def make(half: Path) -> None:
    root, packages = half / "root", half / "packages"
    root.mkdir()
    unpack(half / "apt", root)
    python = next(path for path in sorted(root.glob("usr/bin/python3.*")) if path.is_file())
    install(packages, python.name.removeprefix("python"))
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    asked = ["qemu-aarch64", "-cpu", GRAVITON2, "-L", str(root), str(python), "-c", PROOF]
    subprocess.run(asked, check=True, env=environment, cwd=half)
    note = {"python": str(python.relative_to(root)), **versions()}
    (half / NOTE).write_text(json.dumps(note, indent=2) + "\n", "utf-8")
    shutil.rmtree(ARM64, ignore_errors=True)
    ARM64.mkdir()
    for made in (root, packages, half / NOTE):
        made.rename(ARM64 / made.name)


def unpack(folder: Path, root: Path) -> None:
    """Unpack Debian's arm64 packages from this machine's sources."""
    arm64 = apt.Apt(folder=folder, architecture="arm64")
    arm64.update()
    apt.unpack(arm64.download_with_dependencies(WANTED), root)
    shutil.rmtree(folder)
    for pattern in UNUSED:
        for path in root.glob(pattern):
            shutil.rmtree(path)
    if not (root / "lib").exists():  # where everything is below usr, base-files would bring this
        (root / "lib").symlink_to("usr/lib")


def install(packages: Path, python: str) -> None:
    wanted = [f"{name}=={version}" for name, version in versions().items()]
    platform = ["--python-platform", "aarch64-manylinux_2_28", "--python-version", python]
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
    # Wheels alone: nothing can be compiled here for another processor.
    command += ["--only-binary", ":all:", *platform, "--target", str(packages), *wanted]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
