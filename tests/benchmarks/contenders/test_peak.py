"""The kernel of fixed work, beside which contenders are timed."""

import subprocess
import sys

import pytest

from tests.fixtures.paths import ROOT

BEHIND_A_RUN = """
import time
from pathlib import Path
from benchmarks.contenders import Item, Setting
from benchmarks.contenders.peak import matrix_product

nowhere = Path()
kernel = matrix_product(
    Setting(model=nowhere, artefact=nowhere, scratch=nowhere, items=nowhere, threads=2)
)
kernel.run(kernel.prepare(Item(text="", ids=())))
begun = time.process_time()
time.sleep(0.1)
print(time.process_time() - begun)
"""


@pytest.mark.slow
def test_no_thread_of_the_kernel_takes_a_processor_from_the_contender_that_runs_next() -> None:
    command = [sys.executable, "-c", BEHIND_A_RUN]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    # ONNX Runtime's threads would spin for 37 ms by default.
    assert float(done.stdout) < 0.01
