"""The GGUF file that llama.cpp reads, converted once from a Hugging Face folder by llama.cpp's own script."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CONVERT = "source/convert_hf_to_gguf.py"
# Processors convert to and from it in one instruction, which bfloat16 lacks on most.
TYPE = "f16"


class ConversionFailed(Exception):
    """llama.cpp cannot read the weights; the message is the end of its script's output."""


def gguf_of(home: Path, weights: Path) -> Path:
    """Return the GGUF file of weights: one among them, or one that is made beside them."""
    if found := sorted(weights.glob("*.gguf")):
        return found[0]
    target = weights.with_name(f"{weights.name}.{TYPE}.gguf")
    if target.exists():
        return target
    half = target.with_suffix(".half")
    command = [sys.executable, str(home / CONVERT), str(weights), "--outfile", str(half)]
    done = subprocess.run(
        [*command, "--outtype", TYPE],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        half.unlink(missing_ok=True)
        raise ConversionFailed(done.stderr.strip()[-1000:])
    # A file that is there is whole.
    os.replace(half, target)
    return target


def generation_config(weights: Path) -> dict[str, Any]:
    """Return the model's own settings of generation; none without the file."""
    path = weights / "generation_config.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}
