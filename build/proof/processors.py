"""The processors that an artefact may meet, and how it is asked on those that are not this one.

Lambda promises neither AVX-512 nor VNNI. Without VNNI, ONNX Runtime multiplies 8-bit numbers by an instruction whose
16-bit sums saturate, so a quantized model may answer otherwise there. It picks its kernels by CPUID, which an emulator
answers as the processor that it emulates: under QEMU's Haswell, which has AVX2 and FMA and nothing later, the same
wheel runs the same kernels as on such a machine, only slower. For arm64 the same release's wheel for Graviton runs in
an arm64 Python under QEMU's Neoverse N1, which is the core of Lambda's Graviton2.
"""

import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from build.proof.worker_client import ROOT

INSTALL = "apt-get install qemu-user"
# What `make processors` makes: an arm64 system small enough for the worker, and a note of what is in it.
ARM64, NOTE = ROOT / ".turnout/processors/arm64", "processor.json"
PACKAGES = ("numpy", "onnxruntime", "tokenizers")
GRAVITON2 = "neoverse-n1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """One that an artefact can be asked on: its name, how that is done, and what runs which Python for it.

    `decides` says whether what does not hold there may not ship: so it is where a tier can be deployed. `lacking` is
    why it cannot be asked on this machine, with what would change that; empty where it can.
    """

    name: str
    how: str
    under: tuple[str, ...] = ()
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    decides: bool = True
    lacking: str = ""


def known(system: Path = ARM64) -> tuple[Processor, ...]:
    """All that an artefact may meet besides this machine's own, those that decide first."""
    found = [
        _avx2(),
        _avx512(", without VNNI", "saturate where those of AVX2 do"),  # Skylake and its like
        _avx512(" VNNI", "are exact"),  # most of Lambda, and most who build
    ]
    if platform.machine() != "aarch64":
        found.append(_graviton(system))
    return tuple(one for one in found if not (one.lacking and one.name == native()))


def unasked(processors: tuple[Processor, ...], why: str) -> tuple[Processor, ...]:
    """The same, none of which is to be asked."""
    return tuple(replace(processor, lacking=why) for processor in processors)


def _avx2() -> Processor:
    path, version = _emulator("qemu-x86_64")
    lacking = "" if path else INSTALL
    if platform.machine() != "x86_64":
        lacking = "an x86-64 machine is needed"
    return Processor(
        name="x86-64 with AVX2, without VNNI and AVX-512",
        how=f"qemu-x86_64 {version} -cpu Haswell",
        under=(path, "-cpu", "Haswell"),
        lacking=lacking,
    )


def _avx512(which: str, sums: str) -> Processor:
    """With AVX-512, which QEMU does not translate; `sums` is what is known of the 8-bit ones there."""
    return Processor(
        name=f"x86-64 with AVX-512{which}",
        how="not emulated",
        decides=False,
        lacking=f"no emulator has AVX-512; its 8-bit sums {sums}",
    )


def _graviton(system: Path) -> Processor:
    path, version = _emulator("qemu-aarch64")
    note = _note(system)
    return Processor(
        name="arm64 with NEON dot products (Graviton2)",
        how=f"qemu-aarch64 {version} -cpu {GRAVITON2}",
        under=(path, "-cpu", GRAVITON2, "-L", str(system / "root")),
        python=str(system / "root" / note.get("python", "usr/bin/python3")),
        environment={"PYTHONPATH": str(system / "packages"), "PYTHONNOUSERSITE": "1"},
        decides=False,
        lacking=_lacking(path, note),
    )


def _lacking(path: str, note: Mapping[str, str]) -> str:
    if not path:
        return f"{INSTALL}, then `make processors`"
    if not note:
        return "`make processors`"
    old = [name for name, version in versions().items() if note.get(name) != version]
    return f"`make processors` again: its {' and '.join(old)} differ from those here" if old else ""


def versions() -> dict[str, str]:
    """What the worker needs in any Python, in the versions that this one has."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def _note(system: Path) -> dict[str, str]:
    path = system / NOTE
    found: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def _emulator(name: str) -> tuple[str, str]:
    """Its path and version; an empty path where it is not installed."""
    path = shutil.which(name)
    if path is None:
        return "", "unknown"
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return path, said.split("version", 1)[-1].split()[0] if "version" in said else "unknown"


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
