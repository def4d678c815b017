"""A cross-encoder's files beside its weights: the chat template that its texts go through, the logit that is its score.

As sentence-transformers' CrossEncoder reads them. A folder that it did not save itself gets its default modules: the
logits of "yes" and "no" for a causal model, and a chat template wherever the tokenizer has one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from build.sources.huggingface.chat.pieces import NoPieces, pieces_of
from build.sources.huggingface.chat.renderer import NotRendered
from build.sources.huggingface.chat.template_files import AUTO, FILE, program_of, template_of
from build.sources.huggingface.config import optional_json, read_json, whole
from build.sources.huggingface.folder_files import SENTENCE_TRANSFORMERS, FolderFiles
from build.sources.huggingface.pooling_config import read_modules, within
from build.sources.source import Unusable
from build.tasks.token_scores import FALSE, TRUE, is_causal
from contracts.problems import Code
from functions.inference.tasks.conversation import CONVERSATION

YES, NO = "yes", "no"
# What CrossEncoder loads a model as, by whether it is causal.
TASKS = {True: "text-generation", False: "sequence-classification"}
# Rerankers of Qwen3 came without a template for pairs at first, and their model card with this one.
# https://huggingface.co/Qwen/Qwen3-Reranker-0.6B
QWEN3 = "qwen3"
QWEN3_PIECES = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n<Query>: ",
    "\n<Document>: ",
    "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
)


def details(files: FolderFiles, prompts: Iterable[str]) -> dict[str, Any]:
    """Return the ids of the tokens that are the score, and the conversation; nothing for a plain cross-encoder.

    Raise Unusable for modules, tokens and templates that are not served.
    """
    own = _own_modules(files)
    tokens = _tokens(files, own) if is_causal(files.config) else {}
    conversation = _conversation(files, prompts, own=own is not None)
    return {**tokens, **({CONVERSATION: conversation} if conversation else {})}


def _own_modules(files: FolderFiles) -> dict[str, str] | None:
    """Return the folder of each module by its kind, None where CrossEncoder did not save the folder."""
    path = files.folder / "modules.json"
    whole_model = optional_json(files.folder / SENTENCE_TRANSFORMERS)
    if not path.is_file() or whole_model.get("model_type") != "CrossEncoder":
        return None
    modules, causal = read_modules(path), is_causal(files.config)
    kinds, known = (
        [kind for kind, _ in modules],
        ["Transformer", *(["LogitScore"] if causal else [])],
    )
    if kinds != known:
        raise Unusable(
            Code.ARCHITECTURE_UNSUPPORTED,
            f"modules.json lists {', '.join(kinds)}, but a cross-encoder of its architecture is served with "
            f"{' and '.join(known)} alone; use another model",
        )
    task = files.sentence_config.get("transformer_task")
    if task != TASKS[causal]:
        raise Unusable(
            Code.SETTING_UNSUPPORTED,
            f"{files.sentence_config_name} has {task!r} as `transformer_task`, where {TASKS[causal]!r} belongs to its "
            "architecture; save the model again with CrossEncoder",
        )
    return dict(modules)


def _tokens(files: FolderFiles, own: Mapping[str, str] | None) -> dict[str, int]:
    """Return the ids of the tokens whose logits are the score: that of the first less that of the other."""
    if own is None:
        vocabulary = files.tokenizer.vocabulary
        missing = [token for token in (YES, NO) if token not in vocabulary]
        if missing:
            raise Unusable(
                Code.TOKENIZER_MISMATCH,
                f"its score would be the logits of the tokens {YES!r} and {NO!r}, but tokenizer.json lacks "
                f"{' and '.join(map(repr, missing))}; save it with CrossEncoder and a LogitScore of the right tokens",
            )
        return {TRUE: vocabulary[YES], FALSE: vocabulary[NO]}
    place = within(files.folder, own["LogitScore"])
    config = read_json(place / "config.json")
    name, rows = f"{place.name}/config.json", files.settings.vocabulary
    ids = {
        key: whole(config, key, minimum=0, null=key == FALSE, file=name)
        for key in (TRUE, FALSE)
        if key == TRUE or config.get(key) is not None
    }
    beyond = [key for key, each in ids.items() if rows and each >= rows]
    if TRUE not in config or beyond:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"{name} has no `{beyond[0] if beyond else TRUE}` among the {rows} tokens of the model; save it again",
        )
    return ids


def _conversation(
    files: FolderFiles, prompts: Iterable[str], *, own: bool
) -> dict[str, Any] | None:
    """Return the pieces of the chat template that texts go through, None where they do not."""
    program, settings = program_of(files.folder, files.tokenizer_config), files.sentence_config
    modalities = settings.get("modality_config") if own else None
    # A folder of an older release, which says nothing of messages, has none.
    if not ("message" in (modalities or {}) if own else program):
        return None
    form = str((modalities or {}).get("message", {}).get("format", AUTO))
    model_type = str(files.config.get("model_type", ""))
    variables = _variables(settings) if own else {}
    template = template_of(program, form, model_type, files.tokenizer_config, **variables)
    try:
        return pieces_of(template, prompts)
    except NotRendered as error:
        reason = f"cannot be run on a query and a text ({error})"
    except NoPieces as error:
        reason = str(error)
    if not own and model_type == QWEN3 and is_causal(files.config):
        return {"order": ["query", "document"], "stripped": [], "pieces": {"": list(QWEN3_PIECES)}}
    raise Unusable(
        Code.SETTING_UNSUPPORTED,
        f"its chat template {reason}; put one into {FILE} that writes the messages of the roles 'query' and "
        "'document' once each, or take the template out if the two are to be read as a plain pair",
    )


def _variables(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables that `processing_kwargs` gives the template; raise Unusable for anything else in it."""
    given = settings.get("processing_kwargs") or {}
    variables = dict(given.get("chat_template") or {})
    refused = [key for key in given if key != "chat_template"]
    refused += [key for key in SIZES if variables.pop(key, True) is not True]
    if refused:
        raise Unusable(
            Code.SETTING_UNSUPPORTED,
            f"`processing_kwargs` sets {', '.join(map(repr, refused))}, which is not served; take that out",
        )
    return variables


# Arguments of a call beside the template's variables, of which only the truth is what is done here.
SIZES = ("restore_suffix", "padding", "truncation", "max_length", "return_tensors")
