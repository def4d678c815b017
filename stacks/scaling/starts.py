"""The time that a GPU tier without a copy takes until it answers: as `turnout verify` measured it, or as it is assumed.

What is assumed of a small model was measured by others on AWS's container of vLLM, with Qwen3-0.6B
(`contracts/scaling/copies.py`). More weights take longer to come from S3: those of Qwen3-8B took 77 s onto an
ml.g6.2xlarge that pulled no image meanwhile, of 258 s until it served.
https://aws.amazon.com/blogs/machine-learning/introducing-container-caching-in-amazon-sagemaker-ai-for-faster-model-scaling/
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.manifest import Manifest
from contracts.scaling.copies import START_S, WAKE_S
from contracts.specs import GpuSpec
from stacks.weights.proved import read_record
from stacks.weights.serving import STORED

# The bytes of Qwen3-0.6B's and of Qwen3-8B's weights in bfloat16.
SMALL, LARGE = 1_503_264_768, 16_381_470_720
LARGE_S = 77.0
BYTES_PER_S = LARGE / LARGE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """Seconds until a tier answers: from the first call of one that sleeps, else from when a copy is wanted.

    `start_s` are those from the moment that a copy is wanted, `of` says where they are from.
    """

    seconds: float
    start_s: float
    of: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def wake_of(spec: GpuSpec, manifest: Manifest | None, out: Path) -> Wake:
    """Return the wake of a tier, whose record lies in `out`."""
    before = WAKE_S if spec.min_instances == 0 else 0.0
    record = read_record(out, manifest.model) if manifest else None
    if manifest and record and record["digest"] == manifest.digest:
        measured = record.get("woke_s") or 0.0
        # One that took no longer than the alarm had begun to wake before it was called.
        if measured > WAKE_S and record.get("instance") == spec.instance:
            start = measured - WAKE_S
            of = f"as `turnout verify` measured it on {record['date']}"
            return Wake(seconds=before + start, start_s=start, of=of)
    more = max(0.0, _stored(manifest) - SMALL) / BYTES_PER_S
    of = "assumed: measured by others with Qwen3-0.6B on AWS's container of vLLM"
    if more:
        of += f", and {more:.0f} s for the weights beyond its, at {BYTES_PER_S / 1e9:.2f} GB/s as AWS measured it"
    return Wake(seconds=before + START_S + more, start_s=START_S + more, of=of)


def _stored(manifest: Manifest | None) -> float:
    """Return the bytes of pushed weights; those of our own container come with its image."""
    return float(manifest.details.get(STORED, 0)) if manifest else 0.0
