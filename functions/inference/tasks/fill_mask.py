"""Fill-mask: the likeliest tokens in place of each mask token."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding

from contracts.api.fill_mask import API, TOP_K
from contracts.http_errors import RequestProblem, pointer
from contracts.manifest import Manifest
from contracts.prediction import Input, PredictRequest
from functions.inference.tasks.head import Context, Output, TaskHead


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return the `top_k` likeliest tokens of each mask that was run, from [masks, vocabulary] logits."""
    top_k = TOP_K.value(context.parameters)
    return {"masks": [_mask(logits, top_k, context) for logits in results[0]]}


def _mask(logits: Any, top_k: int, context: Context) -> Output:
    powers = np.exp(logits - logits.max())
    scores = powers / powers.sum()
    # Stable: numpy's default sort depends on the processor, and so would the order of equal scores.
    order = np.argsort(-scores, kind="stable")[:top_k]
    top = [
        {
            # Byte-level and SentencePiece tokens decode with the space in front of a word.
            "token": context.tokenizer.decode([int(i)], skip_special_tokens=False).strip(),
            "score": float(scores[i]),
        }
        for i in order
    ]
    return {**top[0], "top": top}


def missing_masks(request: PredictRequest, manifest: Manifest) -> list[RequestProblem]:
    """Return a problem for each text without the model's mask token, which only its manifest knows."""
    mask = manifest.details["mask_token"]
    return [
        RequestProblem(
            pointer=pointer("inputs", str(i)),
            detail=f"has no {mask}; put it where a token is to be found",
        )
        for i, text in enumerate(request.inputs)
        if isinstance(text, str) and mask not in text
    ]


HEAD = TaskHead(
    api=API,
    more_problems=missing_masks,
    postprocess=postprocess,
    output_width=lambda manifest: int(manifest.details["vocabulary"]),
)
