"""OpenVINO runs an encoder as ONNX Runtime does, by no instructions but those that a build proves."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from build.workspace.runtimes import openvino_version
from contracts.manifest import MANIFEST, MODEL, RUNTIME, BrokenArtefact, read_manifest
from contracts.prediction import PredictRequest
from contracts.tasks import Runtime
from functions.inference.engine import Engine
from functions.inference.runtimes.openers import opener_of
from functions.inference.runtimes.openvino import INSTRUCTIONS, MOST, limited, settings
from tests.fixtures.models.tiny import artefact

TEXTS = ("lovely", "awful fine", "fine fine lovely and something more", "")
needs_openvino = pytest.mark.skipif(not openvino_version(), reason="`make openvino`")


def on(runtime: str, folder: Path) -> Path:
    """Return a tiny artefact that is sealed for the runtime."""
    artefact(folder)
    manifest = replace(read_manifest(folder), details={RUNTIME: runtime}).sealed()
    (folder / MANIFEST).write_text(manifest.to_json(), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, MOST),
        ({INSTRUCTIONS: "AVX2"}, "AVX2"),
        ({INSTRUCTIONS: "AVX512_CORE"}, "AVX512_CORE"),
        # Of a processor with AMX, or with floats of 16 bits.
        ({INSTRUCTIONS: "AVX512_CORE_AMX"}, MOST),
        ({INSTRUCTIONS: "AVX10_1_512_AMX"}, MOST),
        ({INSTRUCTIONS: "AVX512_CORE_BF16"}, MOST),
        ({INSTRUCTIONS: "ALL"}, MOST),
    ],
)
def test_no_instructions_are_used_beyond_those_of_vnni(before: dict[str, str], after: str) -> None:
    environment = dict(before)
    limited(environment)
    assert environment == {INSTRUCTIONS: after}


def test_a_runtime_that_this_release_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenArtefact, match="'tvm' is not known; build the model again"):
        Engine.load(on("tvm", tmp_path / "cpu"))


def test_without_openvino_the_message_says_how_to_install_it(tmp_path: Path) -> None:
    """It is looked for in a process whose path does not have it."""
    code = (
        "import sys; sys.modules['openvino'] = None;"
        "from pathlib import Path; from functions.inference.engine import Engine; Engine.load(Path(sys.argv[1]))"
    )
    folder = on(Runtime.OPENVINO, tmp_path / "cpu")
    ended = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "run `make openvino`" in ended.stderr


@pytest.mark.foreign
@needs_openvino
def test_it_answers_as_onnx_runtime_does(tmp_path: Path) -> None:
    request = PredictRequest(inputs=TEXTS)
    engines = {name: Engine.load(on(name, tmp_path / name)) for name in ("onnxruntime", "openvino")}
    first, second = (engine.predict(request).outputs for engine in engines.values())
    assert [one["label"] for one in first] == [one["label"] for one in second]
    scores = [[one["score"] for one in outputs] for outputs in (first, second)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    assert engines["openvino"].providers == ("OpenVINO",)


@pytest.mark.parametrize(
    ("threads", "at_once", "streams", "of_all"),
    [(2, 1, "1", "2"), (1, 3, "3", "3"), (0, 1, "1", "0")],
)
def test_each_run_at_once_has_its_threads(
    threads: int, at_once: int, streams: str, of_all: str
) -> None:
    found = settings(threads, at_once)
    assert (found["NUM_STREAMS"], found["INFERENCE_NUM_THREADS"]) == (streams, of_all)


@pytest.mark.foreign
@needs_openvino
@pytest.mark.parametrize("at_once", [1, 3])
def test_threads_that_run_it_at_once_get_their_own_answers(tmp_path: Path, at_once: int) -> None:
    graph = opener_of(Runtime.OPENVINO)(
        artefact(tmp_path / "cpu") / MODEL, threads=1, device="cpu", bind=False, at_once=at_once
    )
    rows = [np.array([[2, 4 + i % 3, 3]], np.int64) for i in range(60)]
    feeds = [{"input_ids": row, "attention_mask": np.ones_like(row)} for row in rows]
    alone = [graph.forward(each) for each in feeds]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(graph.forward, feeds))
    assert all(np.array_equal(*pair) for pair in zip(alone, together, strict=True))
    assert not np.array_equal(alone[0], alone[1])


@pytest.mark.foreign
@needs_openvino
def test_a_start_loads_one_runtime_within_its_limit(tmp_path: Path) -> None:
    code = (
        "import json, os, sys; from pathlib import Path; from functions.inference.engine import Engine;"
        "Engine.load(Path(sys.argv[1]));"
        "print(json.dumps([os.environ.get(sys.argv[2]),"
        " *('openvino' in sys.modules, 'onnxruntime' in sys.modules, 'openvino_telemetry' in sys.modules)]))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code, str(on(Runtime.OPENVINO, tmp_path / "cpu")), INSTRUCTIONS],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(printed) == [MOST, True, False, False]
