"""The processors that an artefact may be deployed to, and the emulators that run it on those other than this one.

Lambda promises neither AVX-512 nor VNNI. Without VNNI, ONNX Runtime multiplies 8-bit numbers by an instruction whose
16-bit sums saturate, so a quantized model may answer differently there. It picks its kernels by CPUID, which an
emulator answers as the processor that it emulates: under QEMU's Haswell, which has AVX2 and FMA and nothing later,
the same wheel runs the same kernels as on such a machine, only slower. For arm64 the same release's wheel for
Graviton runs in an arm64 Python under QEMU's Neoverse N1, which is the core of Lambda's Graviton2.
"""

import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from build.workspace.checkout import ROOT
from functions.inference.runtimes.openvino import INSTRUCTIONS, WITHOUT_VNNI

INSTALL = "apt-get install qemu-user"
# `make processors` makes an arm64 system just large enough for the worker, and a note of the versions in it.
ARM64, NOTE = ROOT / ".turnout/processors/arm64", "processor.json"
PACKAGES = ("numpy", "onnxruntime", "tokenizers")
GRAVITON2 = "neoverse-n1"
# The instructions that oneDNN, which OpenVINO computes with, is limited to in place of an emulator, and the flag of a
# processor that has them, by the name of the processor.
AVX2, SKYLAKE = "x86-64 with AVX2, without VNNI and AVX-512", "x86-64 with AVX-512, without VNNI"
LIMITS = dict(
    zip((AVX2, SKYLAKE), zip(WITHOUT_VNNI, ("avx2", "avx512bw"), strict=True), strict=True)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """A processor that an artefact can be run on: its name, the emulator, and the Python that runs under it.

    A candidate that differs on a `blocking` one is rejected, since tiers can be deployed to it; on another it is
    reported. `unavailable` is why nothing can be run on it here, with the next step; empty if it can. A `native` one is
    of this machine's kind, on which the gate has measured all rows.
    """

    name: str
    how: str
    under: tuple[str, ...] = ()
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    blocking: bool = True
    unavailable: str = ""
    native: bool = False


def processors_to_check(system: Path = ARM64, here: str | None = None) -> tuple[Processor, ...]:
    """Return the processors that an artefact may be deployed to, blocking ones first.

    `here` is the name of this machine's own, by default as `instruction_set` returns it.
    """
    here = instruction_set() if here is None else here
    found = [
        _avx2(),
        _avx512(", without VNNI", "saturate where those of AVX2 do"),  # Skylake and its like
        _avx512(" VNNI", "are exact"),  # most of Lambda, and most who build
    ]
    if platform.machine() != "aarch64":
        found.append(_graviton(system))
    return tuple(
        replace(one, native=True, unavailable="") if one.name == here else one for one in found
    )


def limited(processor: Processor, flags: Set[str] | None = None) -> Processor:
    """Return the processor as OpenVINO is run on it: on this one, limited to the other's instructions.

    An emulator would take minutes to open a graph in it. `flags` are this machine's own, by default.
    """
    flags = cpu_flags() if flags is None else flags
    if processor.native:
        return processor
    limit, needed = LIMITS.get(processor.name, ("", ""))
    if not limit:
        return replace(processor, unavailable="OpenVINO was not tried on it")
    if needed not in flags:
        return replace(processor, unavailable=f"this machine has no {limit}")
    return replace(
        processor,
        how=f"this machine, by {INSTRUCTIONS}={limit}",
        under=(),
        python=sys.executable,
        environment={INSTRUCTIONS: limit},
        unavailable="",
    )


def all_unavailable(processors: tuple[Processor, ...], why: str) -> tuple[Processor, ...]:
    """Return the same processors, all unavailable for that reason."""
    return tuple(replace(processor, unavailable=why) for processor in processors)


def _avx2() -> Processor:
    path, version = _emulator("qemu-x86_64")
    unavailable = "" if path else INSTALL
    if platform.machine() != "x86_64":
        unavailable = "an x86-64 machine is needed"
    return Processor(
        name=AVX2,
        how=f"qemu-x86_64 {version} -cpu Haswell",
        under=(path, "-cpu", "Haswell"),
        unavailable=unavailable,
    )


def _avx512(which: str, sums: str) -> Processor:
    """Return a processor with AVX-512, which QEMU does not emulate; `sums` says how its 8-bit sums behave."""
    return Processor(
        name=f"x86-64 with AVX-512{which}",
        how="not emulated",
        blocking=False,
        unavailable=f"no emulator has AVX-512; its 8-bit sums {sums}",
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
        blocking=False,
        unavailable=_arm64_problem(path, note),
    )


def _arm64_problem(path: str, note: Mapping[str, str]) -> str:
    """Return the command that would make the arm64 system usable; empty if it is."""
    if not path:
        return f"{INSTALL}, then `make processors`"
    if not note:
        return "`make processors`"
    old = [name for name, version in versions().items() if note.get(name) != version]
    return f"`make processors` again: its {' and '.join(old)} differ from those here" if old else ""


def versions() -> dict[str, str]:
    """Return the packages that the worker needs in any Python, in the versions that this one has."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def _note(system: Path) -> dict[str, str]:
    path = system / NOTE
    note: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return note


def _emulator(name: str) -> tuple[str, str]:
    """Return the emulator's path and version; an empty path if it is not installed."""
    path = shutil.which(name)
    if path is None:
        return "", "unknown"
    printed = subprocess.run(
        [path, "--version"], capture_output=True, text=True, check=False
    ).stdout
    return path, printed.split("version", 1)[-1].split()[0] if "version" in printed else "unknown"


def instruction_set() -> str:
    """Return the machine's architecture and its widest instructions for 8-bit products, by their flags in Linux."""
    flags = cpu_flags()
    # From the widest to the narrowest: the first flag that is set decides.
    instructions = (
        ("avx512_vnni", "AVX-512 VNNI"),
        ("avx_vnni", "AVX VNNI"),
        ("avx512bw", "AVX-512, without VNNI"),
        ("avx2", "AVX2, without VNNI and AVX-512"),
        ("asimddp", "NEON dot products"),
    )
    widest = next((name for flag, name in instructions if flag in flags), "instructions not known")
    return f"{platform.machine().replace('_', '-')} with {widest}"


def cpu_flags() -> Set[str]:
    """Return the words of what Linux says of the machine's processors, its flags among them."""
    cpuinfo = Path("/proc/cpuinfo")
    return frozenset(cpuinfo.read_text("utf-8").split()) if cpuinfo.exists() else frozenset()


def processor_name() -> str:
    """Return the processor's name on Linux; on other systems, its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
