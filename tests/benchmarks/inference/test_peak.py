"""The kernel of fixed work, beside which contenders are timed."""

import time
from pathlib import Path

import pytest

from benchmarks.contenders import Item, Setting
from benchmarks.contenders.peak import matrix_product


@pytest.mark.slow
def test_no_thread_of_the_kernel_takes_a_processor_from_the_contender_behind_it(
    tmp_path: Path,
) -> None:
    setting = Setting(
        model=tmp_path, artefact=tmp_path, scratch=tmp_path, items=tmp_path, threads=2
    )
    kernel = matrix_product(setting)
    kernel.run(kernel.prepare(Item(text="", ids=())))
    begun = time.process_time()
    time.sleep(0.1)
    # ONNX Runtime's threads would spin for 37 ms by default.
    assert time.process_time() - begun < 0.01
