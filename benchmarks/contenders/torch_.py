"""transformers on torch, loaded as in its documentation: eager, quantized by torch itself, and compiled."""

from typing import Any

import torch
import transformers

from benchmarks.contenders import Item, Opened, Setting
from benchmarks.contenders.tokens import arrays, largest

VERSION = f"torch {torch.__version__}, transformers {transformers.__version__}"


def full(setting: Setting) -> Opened:
    return _classifier(setting, torch.float32)


def half(setting: Setting) -> Opened:
    return _classifier(setting, torch.bfloat16)


def dynamic(setting: Setting) -> Opened:
    """Quantize linear layers to int8, activations by each request.

    https://docs.pytorch.org/docs/stable/quantization.html
    """
    from torch.ao.quantization import quantize_dynamic

    model = _loaded(setting, torch.float32)
    small = quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    return classifier(small, VERSION)


def compiled(setting: Setting) -> Opened:
    """Compile one graph for all lengths: https://docs.pytorch.org/docs/stable/torch.compiler.html."""
    return classifier(torch.compile(_loaded(setting, torch.float32), dynamic=True), VERSION)


def _classifier(setting: Setting, dtype: Any) -> Opened:
    return classifier(_loaded(setting, dtype), VERSION)


def _loaded(setting: Setting, dtype: Any) -> Any:
    torch.set_num_threads(setting.threads)
    auto = transformers.AutoModelForSequenceClassification
    return auto.from_pretrained(setting.model, dtype=dtype, local_files_only=True).eval()


def classifier(model: Any, version: str) -> Opened:
    """Return a model of transformers' interface, opened on prepared tokens."""

    def run(feeds: Any) -> Any:
        with torch.inference_mode():
            return model(**feeds).logits

    return Opened(
        prepare=lambda item: {k: torch.from_numpy(v) for k, v in arrays(item).items()},
        run=run,
        read=lambda logits: largest(logits.float().numpy()),
        version=version,
    )


def writes(setting: Setting) -> Opened:
    """Open generation: the prompt is prefilled and the rest run token by token, over transformers' own cache."""
    torch.set_num_threads(setting.threads)
    auto = transformers.AutoModelForCausalLM
    model = auto.from_pretrained(setting.model, dtype=torch.float32, local_files_only=True).eval()

    def run(item: Item) -> list[int]:
        cache, found = None, []
        tokens = list(item.ids)
        with torch.inference_mode():
            for token in item.continuation:
                output = model(
                    # As our graph, which computes the head for the last position alone.
                    input_ids=torch.tensor([tokens]),
                    past_key_values=cache,
                    logits_to_keep=1,
                )
                cache, tokens = output.past_key_values, [token]
                found.append(int(output.logits[0, -1].argmax()))
        return found

    return Opened(run=run, version=VERSION)
