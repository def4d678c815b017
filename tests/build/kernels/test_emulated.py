"""The answers of emulated processors, arm64 among them, are those of this one to the last bit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build.kernels.libraries import libraries
from build.proof.processors import processors_to_check
from tests.build.kernels.bits import SHAPES, cases
from tests.build.kernels.layers import with_no_numbers

pytestmark = pytest.mark.foreign
SCRIPT = Path(__file__).parent / "recorded.py"
# The library for each emulator that the build uses.
EMULATED = {
    processor.name: (processor, machine)
    for processor in processors_to_check(here="")
    for emulator, machine in (("qemu-x86_64", "x86_64"), ("qemu-aarch64", "aarch64"))
    if processor.how.startswith(emulator)
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write layers of many shapes, and a feed for each."""
    folder = tmp_path_factory.mktemp("recorded")
    for seed, layer, added, mask, x in cases():
        feeds: dict[str, Any] = {} if added is None else {"positions": added[None]}
        for name, each in ((f"{seed}", x), (f"{seed}-no-numbers", with_no_numbers(x))):
            (folder / f"{name}.onnx").write_bytes(layer.graph())
            np.savez(folder / f"{name}.npz", **feeds, x=each, mask=mask.astype(np.int32))
    return folder


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the others are emulated on x86-64")
@pytest.mark.parametrize("name", EMULATED)
def test_an_emulated_processor_gives_the_same_bits(recorded: Path, name: str) -> None:
    processor, machine = EMULATED[name]
    if processor.unavailable:
        pytest.skip(processor.unavailable)
    here = digests([sys.executable], recorded, "x86_64", {})
    there = digests(
        [*processor.under, processor.python], recorded, machine, dict(processor.environment)
    )
    assert len(here) == 2 * len(SHAPES)
    assert there == here


def digests(
    python: list[str], recorded: Path, machine: str, environment: dict[str, str]
) -> list[str]:
    found: list[str] = json.loads(
        subprocess.run(
            [*python, str(SCRIPT), str(recorded), str(libraries()[machine])],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    return found
