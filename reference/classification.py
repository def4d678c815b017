"""Classification of texts, tokens and masks by transformers' pipelines: each stage of a pipeline is called as it is.

Between the stages the logits are at hand, of which margins are made: the difference between the best logit and the
next, which is the logarithm of the ratio of their probabilities.
"""

from typing import Any

import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    FillMaskPipeline,
    TextClassificationPipeline,
    TokenClassificationPipeline,
    ZeroShotClassificationPipeline,
)
from transformers.pipelines.token_classification import AggregationStrategy

from reference.loading import fed, limit_tokens, load_model, load_tokenizer, margin_of
from reference.messages import Asked, Message, Open, Run

# The most tokens that two windows over a long text share, and the share of a window that they are at most.
MAX_STRIDE = 128
# What the scores of a classifier are, by transformers' names in `problem_type`.
REGRESSION, MULTI_LABEL = "regression", "multi_label_classification"
SINGLE_LABEL = "single_label_classification"


def make(pipeline: Any, auto: Any, asked: Asked) -> tuple[Any, int]:
    """Return a pipeline over the folder's model, and the number of tokens that texts are truncated to."""
    model, tokenizer = load_model(auto, asked.folder), load_tokenizer(asked.folder)
    limit = limit_tokens(tokenizer, model, asked.max_tokens)
    config = model.config
    named = dict(enumerate(asked.labels)) if asked.labels else config.id2label or {}
    # A name in config.json may be a number, and in an answer is a text.
    config.id2label = {i: str(label) for i, label in named.items()}
    # Earlier releases made `label2id` where config.json has none; without it the zero-shot pipeline fails.
    if asked.labels or config.label2id is None:
        config.label2id = {label: i for i, label in config.id2label.items()}
    return pipeline(model=model, tokenizer=tokenizer, device="cpu"), limit


def traced(answer: Message, trace: bool, *inputs: Any) -> Message:
    """Return the answer with the number of its tokens, and with the inputs that the model was given if wanted."""
    tokens = sum(int(each["input_ids"].shape[-1]) for each in inputs)
    return {
        **answer,
        "tokens": tokens,
        **({"fed": [fed(each) for each in inputs]} if trace else {}),
    }


def text(asked: Asked) -> Run:
    """Return what labels a text or a pair."""
    pipe, _ = make(TextClassificationPipeline, AutoModelForSequenceClassification, asked)
    names, kind = pipe.model.config.id2label, kind_of(pipe.model.config)

    def run(row: Message) -> list[Message]:
        return [label(value) for value in row["inputs"]]

    def label(value: Any) -> Message:
        inputs = pipe.preprocess(value, truncation=True)
        outputs = pipe.forward(dict(inputs))
        logits = outputs["logits"][0].float()
        scores = pipe.postprocess(outputs, top_k=None, _legacy=False)
        # A label of several is given or not: its own logit decides.
        margins = logits.abs().tolist() if kind == MULTI_LABEL else []
        answer = {"scores": scores, "kind": kind, "margin": margin_of(logits)}
        return traced(
            {**answer, "margins": {names[i]: margin for i, margin in enumerate(margins)}},
            asked.trace,
            inputs,
        )

    return run


def kind_of(config: Any) -> str:
    """Return what the scores of a classifier are, by the rules of the pipeline that makes them of logits."""
    if config.problem_type == REGRESSION:
        return REGRESSION
    several = config.problem_type == MULTI_LABEL or config.num_labels == 1
    return MULTI_LABEL if several else SINGLE_LABEL


def zero_shot(asked: Asked) -> Run:
    """Return what chooses among the labels of a row."""
    pipe, _ = make(ZeroShotClassificationPipeline, AutoModelForSequenceClassification, asked)

    def run(row: Message) -> list[Message]:
        parameters = dict(row["parameters"])
        multi = {"multi_label": parameters.pop("multi_label", False)}
        return [choose(value, parameters, multi) for value in row["inputs"]]

    def choose(value: str, parameters: Message, multi: Message) -> Message:
        inputs = list(pipe.preprocess(value, **parameters))
        answer = pipe.postprocess([pipe.forward(dict(each)) for each in inputs], **multi)
        margin = margin_of(torch.tensor(answer["scores"]).log())
        found = {"labels": answer["labels"], "scores": answer["scores"], "margin": margin}
        return traced(found, asked.trace, *inputs)

    return run


def tokens(asked: Asked) -> Run:
    """Return what finds the entities of a text; a long one is read in overlapping windows."""
    pipe, limit = make(TokenClassificationPipeline, AutoModelForTokenClassification, asked)

    def run(row: Message) -> list[Message]:
        strategy = AggregationStrategy(row["parameters"].get("aggregation", "first"))
        return [tag(value, strategy) for value in row["inputs"]]

    def tag(value: str, strategy: Any) -> Message:
        windows = {
            "return_overflowing_tokens": True,
            "padding": True,
            "stride": min(limit // 2, MAX_STRIDE),
        }
        inputs = list(
            pipe.preprocess(value, tokenizer_params=dict(windows), is_split_into_words=False)
        )
        outputs = [pipe.forward(dict(each)) for each in inputs]
        margins = [margin for window in outputs for margin in token_margins(window)]
        found = pipe.postprocess(outputs, aggregation_strategy=strategy)
        entities = [
            {
                "label": entity.get("entity_group") or entity["entity"],
                "score": float(entity["score"]),
                "start": int(entity["start"]),
                "end": int(entity["end"]),
            }
            for entity in found
        ]
        return traced({"entities": entities, "margins": margins}, asked.trace, *inputs)

    return run


def token_margins(window: Message) -> list[tuple[int, int, float]]:
    """Return the start and end of each token in the text, and the margin of its label."""
    return [
        (int(start), int(end), margin_of(logits))
        for logits, (start, end), special in zip(
            window["logits"][0],
            window["offset_mapping"][0].tolist(),
            window["special_tokens_mask"][0].tolist(),
            strict=True,
        )
        if not special
    ]


def masks(asked: Asked) -> Run:
    """Return what fills the masks of a text; a mask that is cut off is not filled."""
    pipe, _ = make(FillMaskPipeline, AutoModelForMaskedLM, asked)
    mask = pipe.tokenizer.mask_token_id

    def run(row: Message) -> list[Message]:
        return [fill(value, row["parameters"].get("top_k", 5)) for value in row["inputs"]]

    def fill(value: str, top_k: int) -> Message:
        inputs = pipe.tokenizer(value, return_tensors="pt", truncation=True)
        places = (inputs["input_ids"][0] == mask).nonzero()[:, 0]
        if not len(places):
            return traced({"masks": [], "margins": []}, asked.trace, inputs)
        inputs = pipe.preprocess(value, tokenizer_kwargs={"truncation": True})
        outputs = pipe.forward(dict(inputs))
        margins = [margin_of(logits) for logits in outputs["logits"][0, places]]
        found = pipe.postprocess(outputs, top_k=top_k)
        # Of one mask the pipeline returns the tokens alone, of several a list for each.
        found = [found] if len(places) == 1 else found
        filled = [
            [{"token": each["token_str"], "score": each["score"]} for each in one] for one in found
        ]
        return traced({"masks": filled, "margins": margins}, asked.trace, inputs)

    return run


TASKS: dict[str, Open] = {
    "text-classification": text,
    "token-classification": tokens,
    "zero-shot-classification": zero_shot,
    "fill-mask": masks,
}
