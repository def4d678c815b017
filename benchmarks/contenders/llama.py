"""llama.cpp through llama-cpp-python, on a GGUF file."""

from typing import Any

import llama_cpp

from benchmarks.contenders import Item, Opened, Setting


def writes(setting: Setting) -> Opened:
    file = next(setting.scratch.glob("*.gguf"))
    model = llama_cpp.Llama(
        str(file),
        # A prompt and its continuation have 192 tokens at most.
        n_ctx=512,
        n_threads=setting.threads,
        n_threads_batch=setting.threads,
        verbose=False,
    )

    def run(item: Item) -> list[int]:
        model.reset()
        tokens: list[int] = list(item.ids)
        found: list[int] = []
        for token in item.continuation:
            model.eval(tokens)
            found.append(_likeliest(model))
            tokens = [token]
        return found

    return Opened(run=run, version=f"llama-cpp-python {llama_cpp.__version__}")


def _likeliest(model: Any) -> int:
    # The logits of the last token read, without copying those of the others.
    logits = llama_cpp.llama_get_logits_ith(model.ctx, -1)
    import numpy as np

    return int(np.ctypeslib.as_array(logits, shape=(model.n_vocab(),)).argmax())
