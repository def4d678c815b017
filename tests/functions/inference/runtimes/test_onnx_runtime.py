"""An encoder on ONNX Runtime: texts are padded further where the layers of its graph leave padding out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from build.kernels.libraries import copy_libraries
from contracts.manifest import kernels_in, read_manifest
from contracts.prediction import PredictRequest
from functions.inference.batching.division import COSTS
from functions.inference.encoder import Encoder
from functions.inference.runtimes.onnx_runtime import PADDED
from tests.fixtures.models.tiny import artefact

# 3 to 16 tokens; the padding of them all costs more than a pass, and a tenth of it less.
TEXTS = tuple("lovely " * count for count in (1, 1, 5, 9, 14))


def opened(folder: Path) -> Encoder:
    manifest, kernels = read_manifest(folder), kernels_in(folder)
    return Encoder.open(folder, manifest, threads=1, device="cpu", kernels=kernels)


def runs(encoder: Encoder) -> tuple[list[int], list[Any]]:
    """Return how many texts each forward pass had, and the answers."""
    sizes: list[int] = []

    def counted(feeds: Mapping[str, Any]) -> Any:
        sizes.append(len(feeds["input_ids"]))
        return encoder.forward(feeds)

    outputs = replace(encoder, forward=counted).outputs(PredictRequest(inputs=TEXTS))
    return sizes, outputs


@pytest.mark.foreign
def test_texts_are_padded_further_where_layers_leave_padding_out(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "cpu")
    plain = opened(folder)
    copy_libraries(folder)
    with_kernels = opened(folder)
    assert plain.costs == COSTS
    assert with_kernels.costs == replace(COSTS, padded=PADDED)
    many, expected = runs(plain)
    one, found = runs(with_kernels)
    assert len(many) > 1
    assert one == [len(TEXTS)]
    assert found == expected
