"""The operator refuses what it cannot compute, and neither touches other memory nor does what C leaves undefined."""

import gc
import mmap
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from build.kernels.compile import compile_for
from build.kernels.libraries import FOLDER, MACHINES, libraries
from contracts.manifest import kernels_of
from tests.build.kernels.layers import KERNELS, Layer, in_process, opened, run, runs

pytestmark = pytest.mark.foreign
LAYER = Layer.drawn(heads=2, head=16, inner=48, seed=1)
CHECKED = ("-fsanitize=undefined", "-fsanitize-trap=undefined")
ZIG = (str(FOLDER / "compiler/bin/python"), "-m", "ziglang")


@pytest.fixture(scope="module")
def library() -> Path:
    return libraries()[platform.machine()]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("qkv.weight", np.zeros((1, 2, 16, 4), np.int8)),
        ("out.scale", np.zeros(31, np.float32)),
        ("up.bias", np.zeros(0, np.float32)),
        ("down.sum", np.zeros(33, np.int32)),
        ("gain.1", np.zeros((32, 2), np.float32)),
    ],
)
def test_a_constant_of_another_size_is_refused(library: Path, name: str, value: Any) -> None:
    with pytest.raises(Exception, match="another type or size"):
        opened(LAYER.graph({name: value}), library)


@pytest.mark.parametrize(
    "changed",
    [{"heads": 0}, {"heads": 3}, {"heads": 4}, {"hidden": -32}, {"inner": 40}, {"inner": 1 << 40}],
)
def test_sizes_that_it_does_not_take_are_refused(library: Path, changed: Any) -> None:
    with pytest.raises(Exception, match="no multiples of 16|another type or size"):
        opened(replace(LAYER, **changed).graph(), library)


@pytest.mark.parametrize(
    ("x", "mask", "why"),
    [
        ((1, 4, 48), (1, 4), "x is not"),
        ((4, 32), (4, 32), "x is not"),
        ((1, 4, 32), (1, 3), "mask is not"),
        ((1, 4, 32), (4,), "mask is not"),
        ((1, 4, 32), (1, 1, 4, 4), "too many axes"),
        ((1, 65537, 32), (1, 65537), "too many tokens"),
    ],
)
def test_inputs_of_another_shape_are_refused(
    library: Path, x: tuple[int, ...], mask: tuple[int, ...], why: str
) -> None:
    session = opened(LAYER.graph(ranks=False), library)
    feeds = {"x": np.zeros(x, np.float32), "mask": np.ones(mask, np.int32)}
    with pytest.raises(Exception, match=why):
        session.run(None, feeds)


@pytest.mark.parametrize(
    "shape", [(1, 2, 4), (2, 2, 4, 4), (1, 3, 4, 4), (1, 2, 4, 5), (1, 2, 1, 4)]
)
def test_what_is_added_to_scores_has_to_fit_them(library: Path, shape: tuple[int, ...]) -> None:
    session = opened(replace(LAYER, positions=True).graph(), library)
    feeds = {"x": np.zeros((1, 4, 32), np.float32), "mask": np.ones((1, 4), np.int32)}
    with pytest.raises(Exception, match="heads, tokens, tokens"):
        session.run(None, {**feeds, "positions": np.zeros(shape, np.float32)})


def test_an_activation_that_it_does_not_know_is_refused(library: Path) -> None:
    with pytest.raises(Exception, match="activation is not known"):
        opened(replace(LAYER, activation=cast(Any, 4)).graph(), library)


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0)])
def test_a_run_without_texts_or_tokens_is_empty(library: Path, shape: tuple[int, int]) -> None:
    session = opened(LAYER.graph(), library)
    feeds = {"x": np.zeros((*shape, 32), np.float32), "mask": np.ones(shape, np.int32)}
    assert session.run(None, feeds)[0].shape == (*shape, 32)


def test_a_kernel_that_the_processor_does_not_run_is_refused(library: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.build.kernels.bits", str(library)],
        env={"TURNOUT_KERNEL": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "does not run TURNOUT_KERNEL" in done.stderr


def test_a_graph_without_its_library_is_refused() -> None:
    import onnxruntime

    with pytest.raises(Exception, match="turnout"):
        onnxruntime.InferenceSession(LAYER.graph(), providers=["CPUExecutionProvider"])


def test_a_library_that_is_unloaded_leaves_no_memory_behind(library: Path, tmp_path: Path) -> None:
    """Each of these runs takes 5 MB, which the library keeps for the next one as long as it is loaded."""
    own = Path(shutil.copy(library, tmp_path))  # which no other test's session has open
    graph, x = LAYER.graph(), np.zeros((32, 512, LAYER.hidden), np.float32)

    def cycle() -> int:
        run(opened(graph, own), x)
        gc.collect()
        assert str(own) not in Path("/proc/self/maps").read_text("utf-8")
        return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * mmap.PAGESIZE

    first, *_, last = (cycle() for _ in range(24))
    assert last - first < 60 << 20


def test_a_second_graph_gets_the_code_that_was_loaded_for_the_first(
    library: Path, tmp_path: Path
) -> None:
    """Its bytes were checked then, and the file may be another one by now."""
    own = Path(shutil.copy(library, tmp_path))
    first = opened(LAYER.graph(), own)
    own.unlink()
    own.write_bytes(b"another")
    second = opened(LAYER.graph(), own)
    x = np.ones((1, 4, LAYER.hidden), np.float32)
    assert np.array_equal(run(first, x), run(second, x))


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the library so that arithmetic which C leaves undefined ends the process."""
    return compile_for(platform.machine(), tmp_path_factory.mktemp("checked"), ZIG, CHECKED)


@pytest.mark.parametrize("kernel", KERNELS.get(platform.machine(), ()))
def test_runs_of_drawn_shapes_stay_within_their_memory(
    checked: Path, library: Path, kernel: str
) -> None:
    """Inputs and outputs end where no page may be touched, and what C leaves undefined ends the process."""
    if not runs(kernel):
        pytest.skip(f"this processor has no {kernel}")
    seed = str(np.random.default_rng().integers(1 << 30))
    found = in_process("tests.build.kernels.fenced", kernel, str(checked), seed)
    plain = in_process("tests.build.kernels.fenced", kernel, str(library), seed)
    assert found["runs"] >= 12, found
    assert found == plain


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_same_sources_make_the_same_bytes(machine: str, tmp_path: Path) -> None:
    again = compile_for(machine, tmp_path, ZIG)
    assert again.read_bytes() == (FOLDER / kernels_of(machine)).read_bytes()
