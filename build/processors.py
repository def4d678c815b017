"""What an artefact answers on processors that are not this one.

Lambda promises neither AVX-512 nor VNNI. Without VNNI, ONNX Runtime multiplies 8-bit numbers by an instruction whose
16-bit sums saturate, so a quantized model may answer otherwise there. It picks its kernels by CPUID, which an emulator
answers as the processor that it emulates: under QEMU's Haswell, which has AVX2 and FMA and nothing later, the same
wheel runs the same kernels as on such a machine, only slower.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build.answer import path_of
from build.metrics import Outputs
from build.rows import Row
from build.workers import Worker
from contracts.prediction import PredictRequest

# Rows that are asked under emulation, where one takes about half a second.
ROWS = 60
EMULATOR, MODEL = "qemu-x86_64", "Haswell"
INSTALL = "apt-get install qemu-user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """One that an artefact can be asked on: its name, how that is done, and what runs the interpreter for it."""

    name: str
    how: str
    under: tuple[str, ...]


def emulated() -> Processor | None:
    """AVX2 without VNNI, where this machine can emulate it; None where QEMU's user mode is not installed."""
    path = shutil.which(EMULATOR)
    if path is None:
        return None
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    version = said.split("version", 1)[-1].split()[0] if "version" in said else "unknown"
    return Processor(
        name="x86-64 with AVX2, without VNNI and AVX-512",
        how=f"{EMULATOR} {version} -cpu {MODEL}",
        under=(path, "-cpu", MODEL),
    )


def native() -> str:
    """The widest instructions for 8-bit products that this machine has, as Linux tells them."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text("utf-8").split()) if cpuinfo.exists() else set()
    known = (
        ("avx512_vnni", "AVX-512 VNNI"),
        ("avx_vnni", "AVX VNNI"),
        ("avx512bw", "AVX-512, without VNNI"),
        ("avx2", "AVX2, without VNNI and AVX-512"),
        ("asimddp", "NEON dot products"),
    )
    found = next((name for flag, name in known if flag in flags), "instructions not known")
    return f"{platform.machine().replace('_', '-')} with {found}"


def sample(rows: Sequence[Any]) -> Sequence[Any]:
    """An even sample of the rows, or of what stands for them."""
    return rows[:: -(-len(rows) // ROWS)]


def ask_on(
    processor: Processor, folder: Path, rows: Sequence[Row], original: Sequence[Outputs]
) -> list[Outputs]:
    """The artefact's outputs there, row by row; raises BuildError where its process ends."""
    count = min(os.cpu_count() or 1, len(rows))
    asked = [(row.request, path_of(theirs)) for row, theirs in zip(rows, original, strict=True)]
    parts = [asked[i::count] for i in range(count)]
    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(lambda part: _ask(processor, folder, part), parts))
    return [found[i % count][i // count] for i in range(len(rows))]


Asked = tuple[PredictRequest, Sequence[int] | None]


def _ask(processor: Processor, folder: Path, asked: Sequence[Asked]) -> list[Outputs]:
    with Worker(folder, under=processor.under) as worker:
        worker.ready()
        return [
            worker.ask(request, answer=True, along=along)["outputs"] for request, along in asked
        ]
