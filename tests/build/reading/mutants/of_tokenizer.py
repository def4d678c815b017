"""Folders in which a setting of a tokenizer counts: tiny classifiers behind the tokenizer of each class."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from build.sources.huggingface.tokenizer_settings import NAMED
from build.workspace.quiet import quiet
from contracts.tasks import Task
from tests.build.reading.mutants.case import Case, edit, settled
from tests.fixtures.models.tiny_bert import classifier, texts
from tests.fixtures.models.tiny_decoders import CONTEXT, PROMPTS, gpt2
from tests.fixtures.tokenizers.kinds import saved, write

TOKENIZER, CONFIG, MAP = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
GENERIC = "PreTrainedTokenizerFast"
TEXTS = (
    "The Train  is late",
    "Größe naïve 東京x",
    "it isn't <s>late, platform",
    " lead trail ",
    "A,B.c 12",
    "the café—late.",
)
ROWS = [{"text": text} for text in TEXTS]
LONG = [{"text": " ".join(texts(40)[i : i + 12])} for i in range(6)]
PAIRS = [
    {"text": one, "text_pair": other} for one, other in zip(texts(8), texts(16)[8:], strict=True)
]
# A token that words of TEXTS begin with, and the rows of the embedding that are free for it.
NEW, FREE = "lat", 2
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 80,
}
# Sizes of some architectures alone.
OWN: Mapping[str, Mapping[str, Any]] = {
    "albert": {"embedding_size": 16},
    "llama": {"pad_token_id": 1},
}


def classified(
    kind: str,
    folder: Path,
    change: Callable[[Any], Any] = lambda document: document,
    head: str = "SequenceClassification",
    **own: Any,
) -> Path:
    """Write a classifier of an architecture with its own tokenizer; `own` goes into tokenizer_config.json."""
    import torch
    import transformers

    document = change(json.loads(json.dumps(saved(kind))))
    write(folder, kind, document, **own)
    torch.manual_seed(6)
    ids = {token["id"] for token in document["added_tokens"]}
    size = max((len(document["model"]["vocab"]), *(place + 1 for place in ids)))
    sizes = {**SIZES, **OWN.get(kind, {}), "vocab_size": size + FREE}
    with quiet():
        config = transformers.AutoConfig.for_model(kind, num_labels=3, **sizes)
        model = getattr(transformers, f"AutoModelFor{head}").from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:  # weights as small as training starts with separate no texts
                parameter.mul_(6)
    model.save_pretrained(folder)
    return folder


def case(
    kind: str, change: Callable[[Any], Any] = lambda document: document, /, **own: Any
) -> Case:
    make = partial(classified, kind, change=change, **own)
    return Case(task=Task.TEXT_CLASSIFICATION, make=make, rows=ROWS)


def as_it_is(change: Callable[[Any], Any] = lambda document: document, /, **own: Any) -> Case:
    """Return a case whose tokenizer.json alone counts, since its class has no rules of its own."""
    return case("bert", change, **{"tokenizer_class": GENERIC, **own})


def of_bert(rows: list[dict[str, Any]], **settings: Any) -> Case:
    """Return a case of a classifier with BERT's tokenizer, with those keys in tokenizer_config.json."""
    make = settled(classifier, CONFIG, **settings)
    return Case(task=Task.TEXT_CLASSIFICATION, make=make, rows=rows)


def listing(document: Any) -> Any:
    """Return a tokenizer.json with one more token."""
    place = max(document["model"]["vocab"].values()) + 1
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    token = {"id": place, "content": NEW, "special": True, **flags}
    return {**document, "added_tokens": [*document["added_tokens"], token]}


def on_the_left(document: Any) -> Any:
    cut = {"direction": "Left", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    return {**document, "truncation": cut}


def added(folder: Path) -> Path:
    """Write a classifier whose tokenizer_config.json lists one more token than tokenizer.json."""
    classified("bert", folder, tokenizer_class=GENERIC)
    document = json.loads((folder / TOKENIZER).read_text("utf-8"))
    tokens = {str(token.pop("id")): token for token in document["added_tokens"]}
    place = str(max(document["model"]["vocab"].values()) + 1)
    more = {"content": NEW, "special": True, "normalized": False}
    edit(folder / CONFIG, added_tokens_decoder={**tokens, place: more})
    return folder


def mapped(key: str) -> Case:
    """Return a case whose special_tokens_map.json, as older releases wrote it, names one more token."""
    value: Any = [NEW] if key.endswith("tokens") else NEW
    make = settled(partial(classified, "bert", tokenizer_class=GENERIC), MAP, **{key: value})
    return Case(task=Task.TEXT_CLASSIFICATION, make=make, rows=ROWS)


def words(folder: Path) -> Path:
    """Write a generator whose tokens are words and punctuation, with a space between all of them."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    gpt2(folder)
    signs = ["but", ".", "?", "!", ",", "'", "n't", "'m", "'s", "'ve", "'re"]
    size = json.loads((folder / "config.json").read_text("utf-8"))["vocab_size"]
    ids = {f"{signs[i % len(signs)]}{'' if i < len(signs) else i}": i for i in range(size)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="but"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / TOKENIZER))
    settings = {"tokenizer_class": "TokenizersBackend", "clean_up_tokenization_spaces": True}
    (folder / CONFIG).write_text(json.dumps({"model_max_length": CONTEXT, **settings}), "utf-8")
    return folder


# It writes more than the contents, which alone would be a text's own tokens.
TEMPLATE = "{% for message in messages %}{{ message.content }}, {% endfor %}the train"
CHATS = [{"messages": [{"role": "user", "content": prompt}]} for prompt in PROMPTS]
GENERATED = Case(
    task=Task.TEXT_GENERATION, make=gpt2, rows=[{"text": prompt} for prompt in PROMPTS]
)
CASES: Mapping[str, Mapping[str, Case]] = {
    CONFIG: {
        "tokenizer_class": case("bert", tokenizer_class=GENERIC, do_lower_case=False),
        "model_max_length": of_bert(LONG, model_max_length=9),
        "max_len": of_bert(LONG, model_max_length=None, max_len=9),
        "model_input_names": of_bert(PAIRS, model_input_names=["input_ids", "attention_mask"]),
        "truncation_side": of_bert(LONG, truncation_side="left"),
        "do_lower_case": case("bert", do_lower_case=False),
        "strip_accents": case("bert", strip_accents=False),
        "tokenize_chinese_chars": case("bert", tokenize_chinese_chars=False),
        "keep_accents": case("albert", keep_accents=True),
        "split_by_punct": case("deberta-v2", split_by_punct=True),
        "add_prefix_space": case("roberta", add_prefix_space=True),
        "legacy": case("llama", legacy=True),
        "trim_offsets": Case(
            task=Task.TOKEN_CLASSIFICATION,
            make=partial(classified, "roberta", head="TokenClassification", trim_offsets=False),
            rows=ROWS,
        ),
        **{key: as_it_is(**{key: NEW}) for key in NAMED},
        "extra_special_tokens": as_it_is(extra_special_tokens=[NEW]),
        "additional_special_tokens": as_it_is(additional_special_tokens=[NEW]),
        "added_tokens_decoder": Case(task=Task.TEXT_CLASSIFICATION, make=added, rows=ROWS),
        "clean_up_tokenization_spaces": Case(
            task=Task.TEXT_GENERATION,
            make=words,
            rows=[{"text": text} for text in ("but but", ". ?", "! , '")],
        ),
        "chat_template": Case(
            task=Task.TEXT_GENERATION,
            make=settled(gpt2, CONFIG, chat_template=TEMPLATE),
            rows=CHATS,
        ),
    },
    TOKENIZER: {
        "added_tokens": as_it_is(listing),
        "normalizer": as_it_is(),
        "pre_tokenizer": as_it_is(),
        "model": as_it_is(),
        "post_processor": as_it_is(),
        "decoder": GENERATED,
        "truncation": as_it_is(on_the_left, model_max_length=9),
    },
    MAP: {
        key: mapped(key) for key in (*NAMED, "additional_special_tokens", "extra_special_tokens")
    },
}
