"""Write SmolLM2 as the Hugging Face folder that both tiers of the chat example are made of, from its GGUF file.

`python -m examples.smollm2` puts it at examples/chat/model: the weights of the file in float16, its tokenizer, and its
chat template.
"""

import os
import shutil
import tempfile
from pathlib import Path

from contracts.manifest import CHAT_TEMPLATE
from examples.weights import HERE, SMOLLM2, ensure

TARGET = HERE / "chat/model"


def write(file: Path, folder: Path) -> None:
    """Write the folder; the build reads GGUF files in the same way."""
    import torch
    from transformers import AutoModelForCausalLM

    from build.sources.gguf.source import unpack

    unpack(file, folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    # 4 bits and their scales fit it nearly exactly, in half of the bytes.
    model.to(torch.float16).save_pretrained(folder)


def main() -> None:
    ensure(SMOLLM2)
    if (TARGET / CHAT_TEMPLATE).is_file():
        print("model: SmolLM2's folder is there")
        return
    print("model: writing SmolLM2 as a Hugging Face folder, half a minute ...", flush=True)
    with tempfile.TemporaryDirectory(dir=TARGET.parent, prefix=".model-") as work:
        half = Path(work) / "model"
        write(SMOLLM2.target / SMOLLM2.file, half)
        shutil.rmtree(TARGET, ignore_errors=True)
        os.rename(half, TARGET)
    print(f"model: {TARGET.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
