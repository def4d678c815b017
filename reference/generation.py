"""Text that transformers generates without sampling, with whatever else the model's own generation_config.json sets.

A row's target, or the generated text where it has none, is also scored with teacher forcing.
"""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    StoppingCriteria,
    StoppingCriteriaList,
    TextGenerationPipeline,
)
from transformers.pipelines.text_generation import ReturnType

from reference.loading import fed, limit_tokens, load_model, load_tokenizer, margin_of
from reference.messages import Asked, Message, Open, Run
from reference.scoring import scores

# No samples, which could not be compared.
UNSAMPLED = {"do_sample": False, "return_dict_in_generate": True, "output_scores": True}
# The tokens that the reference generates unless a row says how many.
NEW_TOKENS = 16
# The tokens whose probabilities are told of a place that is sampled.
MAX_SAMPLED = 256


class Beams(StoppingCriteria):  # type: ignore[misc]
    """An observer of a beam search, which is shown the best continuations of each step; it stops none.

    `rounds` are the texts that each step keeps, as lists of new tokens, and `margins` how far the last one that is kept
    is from the first that is not. Which texts count as ended is decided by a place among all, and counts as well.
    """

    def __init__(self, config: Any, prompt: int, count: int) -> None:
        self.ends = ends_of(config)
        self.beams, self.prompt, self.last = int(config.num_beams), prompt, prompt + count
        self.rounds: list[list[list[int]]] = []
        self.margins: list[float] = []
        # At first all beams are the same, and only the first counts.
        self.kept = torch.tensor([0.0, *[-1e9] * (self.beams - 1)])

    def __call__(self, input_ids: Any, scores: Any, **more: Any) -> Any:
        """Return that no continuation [texts, tokens] is to be stopped."""
        totals = (scores[-1] + self.kept[:, None]).flatten()
        best = totals.topk(min((len(self.ends) + 1) * self.beams + 1, len(totals)))
        tokens = (best.indices % scores[-1].shape[-1]).tolist()
        ended = [input_ids.shape[1] == self.last or token in self.ends for token in tokens]
        going = [place for place, end in enumerate(ended) if not end][: self.beams + 1]
        gaps = [best.values[a] - best.values[b] for a, b in self._cuts(ended, going)]
        self.margins.append(min([float(gap) for gap in gaps if gap == gap] + [1e9]))
        self.kept = best.values[going[: self.beams]]
        self.rounds.append([input_ids[p, self.prompt :].tolist() for p in going[: self.beams]])
        return torch.zeros(len(input_ids), dtype=torch.bool)

    def _cuts(self, ended: list[bool], going: list[int]) -> list[tuple[int, int]]:
        """Return the pairs of places, better and worse, that would change what is kept if they changed places."""
        cut = (self.beams - 1, self.beams)
        counts = len(ended) > self.beams and any(ended[place] for place in cut)
        running = [(going[-2], going[-1])] if len(going) > self.beams else []
        return [*([cut] if counts else []), *running]


def searched(model: Any, prompt: int, count: int) -> tuple[Message, Beams | None]:
    """Return the arguments of a search by the model's own number of beams, and what observes it if there are several.

    All beams are returned, so that the best can be compared with the next one.
    """
    config = model.generation_config
    if (config.num_beams or 1) < 2:
        return {}, None
    beams = Beams(config, prompt, count)
    several = {"num_return_sequences": config.num_beams}
    return {**several, "stopping_criteria": StoppingCriteriaList([beams])}, beams


def margins_of(scores: Any, finals: Any, beams: Beams | None) -> Message:
    """Return the margin of each step; of a search also the kept texts, and behind all the margin of its result.

    `scores` [steps, vocabulary] are those of the first text, `finals` those of the beams at the end.
    """
    if beams is None:
        return {"margins": [margin_of(each) for each in scores]}
    return {"margins": [*beams.margins, margin_of(finals)], "rounds": beams.rounds}


def ends_of(config: Any) -> set[Any]:
    """Return the tokens that end a text."""
    ends = config.eos_token_id
    return set(ends if isinstance(ends, list) else [ends])


def until_end(generated: list[int], model: Any) -> list[int]:
    """Return the tokens up to the first that ends a text; shorter texts of a batch are filled up behind it."""
    ends = ends_of(model.generation_config)
    place = next((i for i, token in enumerate(generated) if token in ends), len(generated))
    return generated[: place + 1]


def causal(asked: Asked) -> Run:
    """Return what continues a text, by the stages of transformers' pipeline."""
    model, tokenizer = load_model(AutoModelForCausalLM, asked.folder), load_tokenizer(asked.folder)
    limit = limit_tokens(tokenizer, model, asked.max_tokens)
    pipe = TextGenerationPipeline(model=model, tokenizer=tokenizer, device="cpu")

    def run(row: Message) -> list[Message]:
        return [continued(value, row) for value in row["inputs"]]

    def continued(value: str | Message, row: Message) -> Message:
        count = row["parameters"].get("max_new_tokens", NEW_TOKENS)
        target = row.get("target")
        forced = tokenizer(target, add_special_tokens=False)["input_ids"] if target else []
        if isinstance(value, str):
            inputs = pipe.preprocess(value)
            text, ids = inputs.pop("prompt_text"), inputs["input_ids"][0].tolist()
        else:
            text, ids = chat(value["messages"], tokenizer)
            whole(ids, limit - max(count, len(forced)))
        prompt = shortened(ids, limit - count, pipe)
        inputs = {"input_ids": torch.tensor([prompt])}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        options, beams = searched(model, len(prompt), count)
        outputs = pipe.forward(
            {**inputs, "prompt_text": text}, **UNSAMPLED, **options, max_new_tokens=count
        )
        best = {"generated_sequence": outputs["generated_sequence"][:, :1]}
        (record,) = pipe.postprocess(
            {**best, **{k: outputs[k] for k in ("input_ids", "prompt_text")}},
            return_type=ReturnType.NEW_TEXT,
        )
        generated = until_end(best["generated_sequence"][0, 0, len(prompt) :].tolist(), model)
        margins = margins_of(
            outputs["scores"][0, 0], outputs.get("sequences_scores", [None])[0], beams
        )
        forced = forced or generated
        # Other tokens follow than were generated, as many or fewer, so a long prompt is cut elsewhere.
        before = shortened(ids, limit - len(forced), pipe)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*before, *forced]])).logits[0]
        answer = {"text": record["generated_text"], "generated": generated, **margins}
        answer |= teacher_forced(logits[-len(forced) - 1 : -1], forced)
        answer |= own_settings(model, inputs, len(prompt))
        return {**answer, "tokens": len(prompt), **({"fed": [fed(inputs)]} if asked.trace else {})}

    return run


def chat(messages: list[Message], tokenizer: Any) -> tuple[str, list[int]]:
    """Return the text of a chat in the tokenizer's own template, and its tokens."""
    options = {"add_generation_prompt": True}
    text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    ids = tokenizer.apply_chat_template(messages, return_dict=True, **options)["input_ids"]
    return text, list(map(int, ids))


def whole(prompt: list[int], room: int) -> None:
    """Raise ValueError for a chat that does not fit: it is never cut."""
    if len(prompt) > room:
        raise ValueError(f"the chat has {len(prompt)} tokens, and there is room for {room}")


def shortened(prompt: list[int], room: int, pipe: Any) -> list[int]:
    """Return the last tokens of a prompt that fit, behind the special tokens that it begins with.

    The pipeline has no rule for a prompt that is too long; this one is that of the served model. An empty prompt
    becomes the token that a text begins with.
    """
    config = pipe.model.generation_config
    start = config.bos_token_id if config.bos_token_id is not None else config.eos_token_id
    prompt = prompt or [start[0] if isinstance(start, list) else start]
    if len(prompt) <= room:
        return prompt
    special = pipe.tokenizer.get_special_tokens_mask(prompt, already_has_special_tokens=True)
    lead = min(special.index(0) if 0 in special else 0, room - 1)
    return prompt[:lead] + prompt[len(prompt) - room + lead :]


def seq2seq(asked: Asked) -> Run:
    """Return what makes one text of another; transformers 5 has no pipeline for it."""
    model, tokenizer = load_model(AutoModelForSeq2SeqLM, asked.folder), load_tokenizer(asked.folder)
    limit = limit_tokens(tokenizer, model, asked.max_tokens)

    def run(row: Message) -> list[Message]:
        return [translated(value, row) for value in row["inputs"]]

    def translated(value: str, row: Message) -> Message:
        count = row["parameters"].get("max_new_tokens", NEW_TOKENS)
        inputs = tokenizer(value, return_tensors="pt", truncation=True, max_length=limit)
        inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        options, beams = searched(model, 1, count)
        with torch.inference_mode():
            outputs = model.generate(**inputs, **UNSAMPLED, **options, max_new_tokens=count)
        # The first token is the decoder's start token, which nothing predicts.
        start, *generated = outputs.sequences[0].tolist()
        generated = until_end(generated, model)
        first = [scores[0] for scores in outputs.scores]
        margins = margins_of(first, outputs.get("sequences_scores"), beams)
        target = row.get("target")
        forced = tokenizer(text_target=target)["input_ids"] if target else generated
        with torch.inference_mode():
            decoder = torch.tensor([[start, *forced[:-1]]])
            logits = model(**inputs, decoder_input_ids=decoder).logits[0]
        text = tokenizer.decode(generated, skip_special_tokens=True)
        answer = {"text": text, "generated": generated, **margins}
        answer |= teacher_forced(logits, forced) | own_settings(model, inputs, len([start]))
        tokens = int(inputs["input_ids"].shape[-1])
        return {**answer, "tokens": tokens, **({"fed": [fed(inputs)]} if asked.trace else {})}

    return run


def teacher_forced(logits: Any, forced: list[int]) -> Message:
    """Return the forced tokens, the likeliest at each place with its margin, and the log-probability of each.

    `logits` [tokens, vocabulary] are those before each of them.
    """
    given = logits.log_softmax(-1).gather(-1, torch.tensor(forced)[:, None])[:, 0]
    return {
        "forced": forced,
        "argmax": logits.argmax(-1).tolist(),
        "forced_margins": [margin_of(each) for each in logits],
        "log_probabilities": given.tolist(),
    }


def own_settings(model: Any, inputs: Mapping[str, Any], prompt: int) -> Message:
    """Return what generation_config.json makes of a request that sets nothing.

    `new_tokens` is the number that follow a prompt of so many tokens, None where the file does not say. `sampled` are
    the likeliest tokens of the first place with their probabilities, None for a model that does not sample.
    """
    config = model.generation_config
    count = config.max_new_tokens
    if count is None and config.max_length is not None:
        count = max(1, config.max_length - prompt)
    return {"new_tokens": count, "sampled": sampled(model, inputs) if config.do_sample else None}


def sampled(model: Any, inputs: Mapping[str, Any]) -> list[list[float]]:
    """Return the tokens that may be sampled first with their probabilities, the likeliest first."""
    with torch.inference_mode():
        outputs = model.generate(**inputs, **{**UNSAMPLED, "do_sample": True}, max_new_tokens=1)
    probabilities = outputs.scores[0][0].softmax(-1)
    likely = probabilities.topk(min(MAX_SAMPLED, len(probabilities)))
    pairs = zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
    return [[token, share] for token, share in pairs if share > 0]


def tokens(asked: Asked) -> Run:
    """Return what makes ids of texts by a folder's tokenizer alone, however many there are."""
    tokenizer = load_tokenizer(asked.folder)

    def run(row: Message) -> list[Message]:
        return [{"ids": list(map(int, tokenizer(text)["input_ids"]))} for text in row["inputs"]]

    return run


TASKS: dict[str, Open] = {
    "tokens": tokens,
    "text-generation": causal,
    "text2text-generation": seq2seq,
    "language-model-scoring": scores,
}
