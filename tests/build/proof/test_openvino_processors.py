"""OpenVINO is asked for its answers with the instructions of other processors, on this one."""

from dataclasses import replace
from pathlib import Path

import pytest

from build import api
from build.proof.portability import NOT_CHECKED, check_portability
from build.proof.processors import AVX2, SKYLAKE, Processor, limited, processors_to_check
from build.recipes.encoder import OPENVINO_INT8
from build.workspace.cache import Cache
from build.workspace.runtimes import openvino_version
from contracts.manifest import MANIFEST, RUNTIME, read_manifest
from contracts.tasks import Runtime
from functions.inference.runtimes.openvino import INSTRUCTIONS
from tests.build.proof.candidates import GRAVITON2, ROWS, candidate
from tests.fixtures.models.tiny import artefact
from tests.fixtures.models.tiny_bert import classifier, deployment, texts, write_rows


@pytest.mark.parametrize(
    ("name", "flags", "limit"),
    [
        (AVX2, {"avx2", "avx512_vnni"}, "AVX2"),
        (SKYLAKE, {"avx2", "avx512bw", "avx512_vnni"}, "AVX512_CORE"),
    ],
)
def test_openvino_is_limited_to_the_instructions_of_another_processor(
    name: str, flags: set[str], limit: str
) -> None:
    found = limited(Processor(name=name, how="qemu", under=("qemu",), unavailable="no"), flags)
    assert (found.under, found.unavailable) == ((), "")
    assert found.environment == {INSTRUCTIONS: limit}
    assert found.how == f"this machine, by {INSTRUCTIONS}={limit}"


def test_openvino_is_not_asked_where_this_machine_lacks_the_instructions() -> None:
    skylake = limited(Processor(name=SKYLAKE, how="none"), {"avx2"})
    assert skylake.unavailable == "this machine has no AVX512_CORE"
    assert limited(Processor(name=GRAVITON2, how="qemu"), {"avx2"}).unavailable
    assert limited(Processor(name=AVX2, how="here", native=True), set()).how == "here"


@pytest.mark.foreign
@pytest.mark.skipif(not openvino_version(), reason="`make openvino`")
def test_openvino_answers_by_narrower_instructions_as_it_does_here(
    tmp_path: Path,
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in texts(4)])
    (step, _) = api.plan(deployment(classifier(tmp_path / "model"), rows), tmp_path / "out")
    on_openvino = artefact(tmp_path / "cpu")
    manifest = replace(read_manifest(on_openvino), details={RUNTIME: Runtime.OPENVINO.value})
    (on_openvino / MANIFEST).write_text(manifest.sealed().to_json(), "utf-8")
    second = candidate(on_openvino, OPENVINO_INT8[0])
    processors = processors_to_check(here="another")
    of_all = replace(step, portable=True, rows=tuple(ROWS))
    problem, seen = check_portability(of_all, second, Cache(tmp_path / "cache"), processors)
    assert problem == ""
    verdicts = {one["name"]: (one["verdict"], INSTRUCTIONS in one["how"]) for one in seen[1:]}
    assert verdicts[AVX2] == ("holds", True)
    assert verdicts[GRAVITON2] == (NOT_CHECKED, False)
