"""The ways in which an artefact's graph can be run: precisions and execution providers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort

from build.evaluation.gpu_results import FULL, HALF
from build.recipes.encoder import FP16_FUSED, make
from contracts.manifest import MODEL, TOKENIZER, Manifest
from functions.inference.encoder import Encoder
from functions.inference.engine import Engine
from functions.inference.session import PROVIDERS, bound, options
from functions.inference.token_batches import BATCH_TOKENS

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


class AnotherProvider(Exception):
    """A session that runs on another provider than the one it was asked to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to run a graph: in float16 if `half`, by a provider with its options; the CPU provider has the rest."""

    name: str
    half: bool = False
    provider: str = CUDA
    options: Mapping[str, str] | None = None


# What ships and what may ship come first. TF32 rounds to the 10 bits of a float16 as well.
VARIANTS = (
    Variant(name=FULL),
    Variant(name=HALF, half=True),
    Variant(name="tf32", options={"use_tf32": "1"}),
    Variant(name="tensorrt fp32", provider=TENSORRT),
    Variant(name="tensorrt fp16", provider=TENSORRT, options={"trt_fp16_enable": "1"}),
)


def unavailable(variant: Variant, device: str) -> str:
    """Return why a variant cannot be run; empty if it can."""
    if device == "cpu":
        return "" if variant.name in (FULL, HALF) else "the CPU provider has no such precision"
    missing = variant.provider not in ort.get_available_providers()
    return f"this onnxruntime has no {variant.provider}" if missing else ""


def graph_of(variant: Variant, artefact: Path, folder: Path) -> Path:
    """Return the variant's graph: the artefact's own, or made of it in `folder` as a build makes it."""
    full = artefact / MODEL
    return make(FP16_FUSED, full, folder / "half.onnx") if variant.half else full


def opened(
    variant: Variant, graph: Path, artefact: Path, manifest: Manifest, device: str, threads: int
) -> Engine:
    """Return the artefact's engine with that graph; raise AnotherProvider if it runs elsewhere."""
    if device == "cuda":
        ort.preload_dlls()
    session = ort.InferenceSession(
        str(graph), options(threads), providers=_providers(variant, manifest, device)
    )
    names = tuple(node.name for node in session.get_inputs())
    first = session.get_providers()[0]
    if device == "cuda" and first != variant.provider:
        # ONNX Runtime falls back without an error, as from TensorRT where its libraries are not there.
        raise AnotherProvider(
            f"{variant.name}: the session's first provider is {first}, not {variant.provider}"
        )
    model = Encoder.over(
        bound(session),
        artefact / TOKENIZER,
        manifest,
        input_names=names,
        providers=tuple(session.get_providers()),
    )
    return Engine(manifest=manifest, model=model, max_inputs=BATCH_TOKENS, batching=model)


def _providers(variant: Variant, manifest: Manifest, device: str) -> Sequence[Any]:
    if device == "cpu" or variant.options is None and variant.provider == CUDA:
        return PROVIDERS[device]
    named = [(variant.provider, {**(variant.options or {})})]
    if variant.provider == TENSORRT:
        named[0][1].update(_profile(manifest))
        # What TensorRT does not have, such as fused attention, runs on CUDA.
        named.append((CUDA, {"use_tf32": "0"}))
    return [*named, "CPUExecutionProvider"]


def _profile(manifest: Manifest) -> dict[str, str]:
    """Return the shapes that TensorRT's engine is built for once; it would build another for each new one."""
    longest = manifest.max_tokens
    names = ("input_ids", "attention_mask", "token_type_ids")
    shapes = {
        "min": "1x1",
        "opt": f"8x{min(64, longest)}",
        "max": f"{max(1, BATCH_TOKENS // 8)}x{longest}",
    }
    return {
        f"trt_profile_{kind}_shapes": ",".join(f"{name}:{shape}" for name in names)
        for kind, shape in shapes.items()
    }
