"""Embeddings and cross-encoders by sentence-transformers, which reads every file of the folder itself."""

import json
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from reference import qwen3_reranker
from reference.loading import LOCAL, MAX_TRUSTED_LIMIT, check_weights, fed, positions
from reference.messages import Asked, Message, Open, Run

FLOAT32 = {"dtype": torch.float32}
# The classes of cross-encoders, by what sentence-transformers calls their tasks.
AUTO_CLASSES = {
    "sequence-classification": AutoModelForSequenceClassification,
    "text-generation": AutoModelForCausalLM,
}


def embeddings(asked: Asked) -> Run:
    """Return what embeds texts."""
    made = SentenceTransformer(asked.folder, device="cpu", model_kwargs=FLOAT32, **LOCAL)
    # BERT's own pooler is not what sentence-transformers pools by.
    limit(made, AutoModel, asked.max_tokens, ("pooler.",))

    def run(row: Message) -> list[Message]:
        return [embed(value, prompt_of(row)) for value in row["inputs"]]

    def embed(value: str, prompt: Message) -> Message:
        with Inputs(made) as seen:
            vector = made.encode(value, show_progress_bar=False, **prompt)
        return seen.added_to({"embedding": vector.astype("float32").tolist()}, asked.trace)

    return run


def ranking(asked: Asked) -> Run:
    """Return what scores texts for a query: a classifier, or a model that generates, by the logit of a token."""
    made = CrossEncoder(asked.folder, device="cpu", model_kwargs=FLOAT32, **LOCAL)
    if qwen3_reranker.is_meant(made):
        return qwen3_reranker.ranking(asked)
    limit(made, AUTO_CLASSES[made[0].transformer_task], asked.max_tokens, ())

    def run(row: Message) -> list[Message]:
        query = row["parameters"]["query"]
        return [score(query, value, prompt_of(row)) for value in row["inputs"]]

    def score(query: str, value: str, prompt: Message) -> Message:
        with Inputs(made) as seen:
            logit = made.predict(
                [(query, value)],
                activation_fn=torch.nn.Identity(),
                convert_to_tensor=True,
                **prompt,
            )
        answer = {"score": float(made.activation_fn(logit)[0]), "logit": float(logit[0])}
        return seen.added_to(answer, asked.trace)

    return run


def prompt_of(row: Message) -> Message:
    """Return the name of the prompt that a row asks for; without one, the model's default prompt is used."""
    return {key: name for key, name in row["parameters"].items() if key == "prompt_name"}


def limit(made: Any, auto: Any, max_tokens: int | None, unused: tuple[str, ...]) -> None:
    """Truncate texts to the smallest limit that is known; raise WeightsIncomplete for weights that do not fit."""
    made.eval().float()
    model = made.transformers_model
    known = (made.max_seq_length, positions(model), max_tokens)
    limits = [int(each) for each in known if each and each < MAX_TRUSTED_LIMIT]
    if limits:
        made.max_seq_length = min(limits)
    # sentence-transformers keeps to itself which weights it did not find.
    auto = type(model) if auto is AutoModel else auto
    again, info = auto.from_pretrained(
        place_of(model.name_or_path), output_loading_info=True, dtype=torch.float32, **LOCAL
    )
    check_weights(again, info, unused)


def place_of(folder: str) -> Path:
    """Return the folder with the weights of the transformer, which modules.json may have within the given one."""
    path = Path(folder) / "modules.json"
    modules = json.loads(path.read_text("utf-8")) if path.is_file() else [{"path": ""}]
    return Path(folder) / modules[0]["path"]


class Inputs:
    """The inputs that a model is given within the block."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.seen: list[dict[str, Any]] = []

    def __enter__(self) -> "Inputs":
        def keep(module: Any, arguments: Any) -> None:
            self.seen.append(dict(arguments[0]))

        # The first module is the transformer, which takes a dictionary of tensors.
        self.hook = self.made[0].register_forward_pre_hook(keep)
        return self

    def __exit__(self, *error: object) -> None:
        self.hook.remove()

    def added_to(self, answer: Message, trace: bool) -> Message:
        """Return the answer with the number of tokens, and with the inputs themselves if wanted."""
        tokens = sum(int(each["input_ids"].shape[-1]) for each in self.seen)
        more = {"fed": [fed(each) for each in self.seen]} if trace else {}
        return {**answer, "tokens": tokens, **more}


TASKS: dict[str, Open] = {
    "feature-extraction": embeddings,
    "text-ranking": ranking,
}
