"""Compile the operators for both architectures into `.turnout/kernels`: `make kernels`.

Zig's C compiler is clang, which cross-compiles to both from any machine, with the C library's symbols of the version
that is asked for. It comes by pip, checked by its hash. The same sources make the same bytes on any machine.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from build.kernels.libraries import FOLDER, MACHINES, SOURCES, write_note
from contracts.manifest import kernels_of

# The least C library that ONNX Runtime's own wheels ask for (manylinux_2_28).
TARGET = "linux-gnu.2.28"
# The processors that `layer.c` is compiled for, beside the one that everything runs on, which is the first.
PROCESSORS: Mapping[str, Sequence[Sequence[str]]] = {
    "x86_64": (
        ("-mcpu=x86_64",),
        # No more than `operator.c` asks the processor for; a test compares the two.
        ("-mcpu=x86_64+avx2+fma",),
        (
            "-mcpu=x86_64+fma+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx512vnni",
            "-mprefer-vector-width=512",
        ),
    ),
    "aarch64": (("-mcpu=generic",), ("-mcpu=generic+dotprod",)),
}
OPTIONS = (
    "-O3",
    "-std=gnu23",
    "-fPIC",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Werror",
    # Only where it is written are a product and a sum rounded once, so that all processors give the same bits.
    "-ffp-contract=off",
)


def compile_for(
    machine: str, folder: Path, zig: Sequence[str], options: Sequence[str] = ()
) -> Path:
    """Compile the library of an architecture into the folder, and return its path."""
    compiler = (*zig, "cc", "-target", f"{machine}-{TARGET}")
    options = options or ("-fno-sanitize=all",)
    with tempfile.TemporaryDirectory() as scratch:
        commands = [
            ("layer.c", f"{scratch}/layer{number}.o", processor)
            for number, processor in enumerate(PROCESSORS[machine])
        ]
        commands.append(("operator.c", f"{scratch}/operator.o", PROCESSORS[machine][0]))
        for source, made, processor in commands:
            # Relative names, so that no path of this machine is in the bytes.
            _run(*compiler, *OPTIONS, *options, *processor, "-c", source, "-o", made)
        library = folder / kernels_of(machine)
        objects = [made for _, made, _ in commands]
        _run(*compiler, "-shared", "-s", *objects, "-lm", "-o", str(library))
    return library


def _run(*command: str) -> None:
    subprocess.run(command, cwd=SOURCES, check=True)


def main() -> None:
    # Not resolved: an environment is found by the link to its interpreter.
    zig = (str(Path(sys.argv[1]).absolute()), "-m", "ziglang")
    for machine in MACHINES:
        compile_for(machine, FOLDER, zig)
    write_note(FOLDER)


if __name__ == "__main__":
    main()
