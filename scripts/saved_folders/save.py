"""Models saved by one release of transformers: `python -I save.py FOLDER`, run in that release's environment."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# In isolated mode the folder of the script is not searched.
sys.path.insert(0, str(Path(__file__).parents[2]))

from scripts.saved_folders import vocabularies

SEED = 7
# Factor on every matrix, so that attention and answers depend on the text.
SCALE = 6.0
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}

TokenizerFiles = Callable[[Path], dict[str, Any]]


def save(destination: Path) -> None:
    """Save each model that this release of transformers knows."""
    import transformers

    transformers.logging.set_verbosity_error()
    for name, (architecture, head, tokenizer, settings) in MODELS.items():
        if hasattr(transformers, f"{architecture}Config"):
            _save(destination / name, architecture, head, tokenizer, settings)


def _save(
    folder: Path, architecture: str, head: str, tokenizer: TokenizerFiles, settings: dict[str, Any]
) -> None:
    import torch
    import transformers

    draft = folder.with_name(f"{folder.name}.draft")
    draft.mkdir()
    special = tokenizer(draft)
    if transformers.__version__ < "4.31" and architecture == "Llama":
        settings = {}  # its config.json would keep what its model does not know
    settings = {**SHAPE, "vocab_size": _vocabulary_size(draft), **special, **settings}
    config = getattr(transformers, f"{architecture}Config")(**settings)
    torch.manual_seed(SEED)
    model = getattr(transformers, f"{architecture}{head}")(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.mul_(SCALE)
            elif name.endswith("bias") and parameter.dim() == 1:
                parameter.normal_(std=0.1)
        if architecture == "Llama":
            # No text that a model has learned consists of bytes which are no UTF-8.
            model.lm_head.weight[vocabularies.LLAMA_BYTES] = 0
    model.save_pretrained(folder)
    # A tokenizer is read from the files of its own format, as a user of that release has got it from the Hub.
    config.save_pretrained(draft)
    transformers.AutoTokenizer.from_pretrained(draft).save_pretrained(folder)
    shutil.rmtree(draft)


def _vocabulary_size(folder: Path) -> int:
    import transformers

    return len(transformers.AutoTokenizer.from_pretrained(folder))


def _labels(*names: str) -> dict[str, Any]:
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: i for i, name in enumerate(names)},
    }


# Each model with its architecture and head in transformers, its tokenizer, and what its config has beside SHAPE.
MODELS: dict[str, tuple[str, str, TokenizerFiles, dict[str, Any]]] = {
    "bert": (
        "Bert",
        "ForSequenceClassification",
        vocabularies.wordpiece,
        _labels("bad", "good", "so-so"),
    ),
    "roberta": (
        "Roberta",
        "ForTokenClassification",
        vocabularies.roberta_bpe,
        _labels("O", "B-WORK", "I-WORK", "B-PART", "I-PART"),
    ),
    "distilbert": (
        "DistilBert",
        "ForQuestionAnswering",
        vocabularies.wordpiece,
        {"dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 32},
    ),
    "mpnet": ("MPNet", "Model", vocabularies.mpnet_wordpiece, {}),
    "albert": ("Albert", "ForMaskedLM", vocabularies.albert_unigram, {"embedding_size": 8}),
    "xlm-roberta": (
        "XLMRoberta",
        "ForSequenceClassification",
        vocabularies.xlm_roberta_unigram,
        _labels("contradiction", "neutral", "entailment"),
    ),
    "t5": (
        "T5",
        "ForConditionalGeneration",
        vocabularies.t5_unigram,
        {"d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 4},
    ),
    "gpt2": (
        "GPT2",
        "LMHeadModel",
        vocabularies.gpt2_bpe,
        {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
    ),
    "llama": (
        "Llama",
        "ForCausalLM",
        vocabularies.llama_bpe,
        {"rope_theta": 500000.0, "num_attention_heads": 2, "num_key_value_heads": 1},
    ),
    "modernbert": (
        "ModernBert",
        "ForSequenceClassification",
        vocabularies.modernbert_bpe,
        _labels("bad", "good", "so-so"),
    ),
}

if __name__ == "__main__":
    save(Path(sys.argv[1]))
