"""A kernel runs only on a processor that has all it was compiled for, and whose system keeps its registers."""

import ctypes
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from build.kernels.compile import PROCESSORS
from build.kernels.libraries import FOLDER, SOURCES

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="its code is for x86-64"),
]
COMPILER = (str(FOLDER / "compiler/bin/python"), "-m", "ziglang", "cc")
TARGET = ("-target", "x86_64-linux-gnu.2.28")
# Intel SDM, volume 2, CPUID: the word of each feature (leaf 1 ecx, leaf 7 ebx, leaf 7 ecx), and its bit.
BITS = {
    "SSE3": (0, 0),
    "SSSE3": (0, 9),
    "FMA": (0, 12),
    "SSE4_1": (0, 19),
    "SSE4_2": (0, 20),
    "OSXSAVE": (0, 27),
    "AVX": (0, 28),
    "F16C": (0, 29),
    "AVX2": (1, 5),
    "AVX512F": (1, 16),
    "AVX512DQ": (1, 17),
    "AVX512CD": (1, 28),
    "AVX512BW": (1, 30),
    "AVX512VL": (1, 31),
    "AVX512VNNI": (2, 11),
}
# XCR0: SSE and AVX; and for AVX-512 its masks, the upper halves, and the upper 16 registers. Volume 1, 13.1.
REGISTERS = {"avx2": 0b110, "avx512vnni": 0b11100110}
KERNELS = dict(zip(("avx2", "avx512vnni"), PROCESSORS["x86_64"][1:], strict=True))


@pytest.fixture(scope="module")
def choice(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the choice among the kernels, by the bits that a processor has."""
    made = tmp_path_factory.mktemp("processor") / "choice.so"
    source = Path(__file__).with_name("processor.c")
    options = ("-shared", "-fPIC", "-std=gnu23", "-I", str(SOURCES))
    subprocess.run([*COMPILER, *TARGET, *options, str(source), "-o", str(made)], check=True)
    found = ctypes.CDLL(str(made)).taken
    found.restype = ctypes.c_char_p
    return found


def features(options: Sequence[str]) -> set[str]:
    """Return the features that the compiler may use, as its macros name them."""
    command = [*COMPILER, *TARGET, *options, "-dM", "-E", "-x", "c", os.devnull]
    macros = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"^#define __([A-Z0-9_]+)__ 1$", macros, re.MULTILINE))


def compiled_for(options: Sequence[str]) -> set[str]:
    """Return the features that any processor of 64 bits may lack; CRC32 is a part of SSE4.2."""
    return features(options) - features(PROCESSORS["x86_64"][0]) - {"CRC32"} | {"OSXSAVE"}


def taken(choice: Any, has: set[str], kept: int) -> str:
    words = [0, 0, 0]
    for name in has:
        word, bit = BITS[name]
        words[word] |= 1 << bit
    kernel: bytes = choice(*(ctypes.c_uint(value) for value in (*words, kept)))
    return kernel.decode()


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_needs_each_feature_that_it_was_compiled_for_and_no_other(
    choice: Any, kernel: str
) -> None:
    needed, kept = compiled_for(KERNELS[kernel]), REGISTERS[kernel]
    assert len(needed) > 5
    assert taken(choice, needed, kept) == kernel
    for missing in needed:
        assert taken(choice, needed - {missing}, kept) not in (kernel, "fault"), missing


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_needs_a_system_that_keeps_its_registers(choice: Any, kernel: str) -> None:
    registers = REGISTERS[kernel]
    for bit in (b for b in range(8) if registers >> b & 1):
        assert taken(choice, set(BITS), registers & ~(1 << bit)) != kernel, bit
