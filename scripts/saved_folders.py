"""Make the folders of tests/saved_folders: tiny models as four releases of transformers save them.

`python -m scripts.saved_folders` makes an environment for each release under .turnout/saving, and lets that release
save each model and tokenizer that it knows. Only what differs between releases is installed there; all else, torch
above all, is found in .venv. Weights are random, from a seed, and spread so that texts are told apart.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDERS = ROOT / "tests/saved_folders"
# Each release with the releases of tokenizers and huggingface-hub that it was used with; the last is .venv's own.
RELEASES = {
    "4.30.2": ("tokenizers==0.13.3", "huggingface-hub==0.16.4"),
    "4.40.2": ("tokenizers==0.19.1", "huggingface-hub==0.23.4"),
    "4.57.6": ("tokenizers==0.22.2", "huggingface-hub==0.36.2"),
    "5.24.0": (),
}
SEED = 7
# Factor on every matrix, so that attention and answers depend on the text.
SCALE = 6.0
WORDS = (
    "the a this that it was is not and but very film book plot story actor end scene music "
    "awful dull lovely great fine plain loud quiet long short new old big small again never"
).split()
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}


def main() -> None:
    """Make every folder anew."""
    for release, others in RELEASES.items():
        python = _environment(release, others) if others else Path(sys.executable)
        destination = FOLDERS / release
        shutil.rmtree(destination, ignore_errors=True)
        destination.mkdir(parents=True)
        # -I leaves out this checkout, none of which an old release could import.
        subprocess.run([python, "-I", __file__, "save", destination], check=True, cwd=destination)
        print(release, *sorted(path.name for path in destination.iterdir()))


def _environment(release: str, others: tuple[str, ...]) -> Path:
    place, uv = ROOT / ".turnout/saving" / release, ROOT / ".venv/bin/uv"
    python = place / "bin/python"
    subprocess.run(
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, place], check=True
    )
    packages = (f"transformers=={release}", *others)
    install = [str(uv), "pip", "install", "--quiet", "--no-deps", "--python", str(python)]
    subprocess.run([*install, *packages], check=True)
    ours, theirs = (
        subprocess.run(
            [interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for interpreter in (sys.executable, python)
    )
    Path(theirs, "shared.pth").write_text(f"{ours}\n", "utf-8")
    return python


# What follows runs in the environment of a release.

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
    model.save_pretrained(folder)
    # A tokenizer is read from the files of its own format, as a user of that release has got it from the Hub.
    config.save_pretrained(draft)
    transformers.AutoTokenizer.from_pretrained(draft).save_pretrained(folder)
    shutil.rmtree(draft)


def _vocabulary_size(folder: Path) -> int:
    import transformers

    return len(transformers.AutoTokenizer.from_pretrained(folder))


def _write(path: Path, document: Any) -> None:
    import json

    path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")


def wordpiece(folder: Path) -> dict[str, Any]:
    """Write BERT's vocab.txt: words, letters, and letters within words."""
    letters = "abcdefghijklmnopqrstuvwxyz.,!?"
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    entries = [*special, *WORDS, *(c for c in letters if c != "a"), *(f"##{c}" for c in letters)]
    (folder / "vocab.txt").write_text("\n".join(entries) + "\n", "utf-8")
    _write(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "BertTokenizer", "model_max_length": 64},
    )
    return {"pad_token_id": 0}


def _mpnet_wordpiece(folder: Path) -> dict[str, Any]:
    letters = "abcdefghijklmnopqrstuvwxyz.,!?"
    entries = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", *WORDS, *(c for c in letters if c != "a")]
    entries += [*(f"##{c}" for c in letters), "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(entries) + "\n", "utf-8")
    settings = {"tokenizer_class": "MPNetTokenizer", "model_max_length": 60}
    _write(folder / "tokenizer_config.json", settings)
    return {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def _byte_level(folder: Path, special: tuple[str, ...]) -> dict[str, int]:
    """Write vocab.json and merges.txt of byte-level BPE; return the ids."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("Ġ", "a"), ("i", "s"), ("Ġ", "is"), ("o", "o")]
    entries = [*special, *letters, *("".join(pair) for pair in merges)]
    ids = {token: i for i, token in enumerate(entries)}
    _write(folder / "vocab.json", ids)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return ids


def _roberta_bpe(folder: Path) -> dict[str, Any]:
    ids = _byte_level(folder, ("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    # 64 positions less the two that padding takes.
    settings = {
        "tokenizer_class": "RobertaTokenizer",
        "model_max_length": 62,
        "add_prefix_space": True,
    }
    _write(folder / "tokenizer_config.json", settings)
    return {"pad_token_id": ids["<pad>"], "bos_token_id": 0, "eos_token_id": 2}


def _gpt2_bpe(folder: Path) -> dict[str, Any]:
    ids = _byte_level(folder, ("<|endoftext|>",))
    settings = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 64}
    _write(folder / "tokenizer_config.json", settings)
    return {"bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|endoftext|>"]}


def _unigram(
    folder: Path, special: list[str], unknown: str, around: tuple[str, str], kind: str
) -> Any:
    """Write a tokenizer.json of SentencePiece's unigram model."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    pieces = [f"▁{word}" for word in WORDS] + ["▁", *"abcdefghijklmnopqrstuvwxyz.,!?"]
    scores = [(token, 0.0) for token in special]
    scores += [(piece, -2.0 - 0.1 * i) for i, piece in enumerate(pieces)]
    ids = {token: i for i, (token, _) in enumerate(scores)}
    made = Tokenizer(models.Unigram(scores, ids[unknown]))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    first, last = around
    made.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}".strip(),
        pair=(f"{first} $A {last} {last} $B {last}" if first else f"$A {last} $B {last}"),
        special_tokens=[(token, ids[token]) for token in around if token],
    )
    made.add_special_tokens(special)
    made.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": kind, "model_max_length": 62}
    _write(folder / "tokenizer_config.json", settings)
    return ids


def _xlm_roberta_unigram(folder: Path) -> dict[str, Any]:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    _unigram(folder, special, "<unk>", ("<s>", "</s>"), "XLMRobertaTokenizerFast")
    return {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def _albert_unigram(folder: Path) -> dict[str, Any]:
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    _unigram(folder, special, "<unk>", ("[CLS]", "[SEP]"), "AlbertTokenizerFast")
    return {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}


def _t5_unigram(folder: Path) -> dict[str, Any]:
    _unigram(folder, ["<pad>", "</s>", "<unk>"], "<unk>", ("", "</s>"), "T5TokenizerFast")
    path = folder / "tokenizer_config.json"
    _write(path, {"tokenizer_class": "T5TokenizerFast", "model_max_length": 62, "extra_ids": 0})
    return {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}


def _llama_bpe(folder: Path) -> dict[str, Any]:
    """Write a tokenizer.json of SentencePiece's BPE with a fallback to bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors

    special = ["<unk>", "<s>", "</s>"]
    tokens = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    tokens += "abcdefghijklmnopqrstuvwxyz.,!?"
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("▁", "a"), ("i", "s"), ("▁", "is")]
    tokens += ["".join(pair) for pair in merges]
    ids = {token: i for i, token in enumerate(tokens)}
    made = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    made.add_special_tokens(special)
    made.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "LlamaTokenizerFast", "model_max_length": 64}
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    _write(folder / "tokenizer_config.json", settings | named)
    return {"bos_token_id": 1, "eos_token_id": 2}


def _modernbert_bpe(folder: Path) -> dict[str, Any]:
    """Write a tokenizer.json of byte-level BPE, which no class of transformers describes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    special = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
    ids = _byte_level(folder, special)
    made = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )
    made.add_special_tokens(list(special))
    made.save(str(folder / "tokenizer.json"))
    names = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64}
    inputs = {"model_input_names": ["input_ids", "attention_mask"]}
    _write(
        folder / "tokenizer_config.json", settings | inputs | dict(zip(names, special, strict=True))
    )
    around = {"cls_token_id": ids["[CLS]"], "sep_token_id": ids["[SEP]"]}
    ends = {"bos_token_id": ids["[CLS]"], "eos_token_id": ids["[SEP]"]}
    return {"pad_token_id": ids["[PAD]"], **around, **ends}


def _labels(*names: str) -> dict[str, Any]:
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: i for i, name in enumerate(names)},
    }


# Each model with its architecture and head in transformers, its tokenizer, and what its config has beside SHAPE.
MODELS: dict[str, tuple[str, str, TokenizerFiles, dict[str, Any]]] = {
    "bert": ("Bert", "ForSequenceClassification", wordpiece, _labels("bad", "good", "so-so")),
    "roberta": (
        "Roberta",
        "ForTokenClassification",
        _roberta_bpe,
        _labels("O", "B-WORK", "I-WORK", "B-PART", "I-PART"),
    ),
    "distilbert": (
        "DistilBert",
        "ForQuestionAnswering",
        wordpiece,
        {"dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 32},
    ),
    "mpnet": ("MPNet", "Model", _mpnet_wordpiece, {}),
    "albert": ("Albert", "ForMaskedLM", _albert_unigram, {"embedding_size": 8}),
    "xlm-roberta": (
        "XLMRoberta",
        "ForSequenceClassification",
        _xlm_roberta_unigram,
        _labels("contradiction", "neutral", "entailment"),
    ),
    "t5": (
        "T5",
        "ForConditionalGeneration",
        _t5_unigram,
        {"d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 4},
    ),
    "gpt2": (
        "GPT2",
        "LMHeadModel",
        _gpt2_bpe,
        {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64},
    ),
    "llama": (
        "Llama",
        "ForCausalLM",
        _llama_bpe,
        {"rope_theta": 500000.0, "num_key_value_heads": 2},
    ),
    "modernbert": (
        "ModernBert",
        "ForSequenceClassification",
        _modernbert_bpe,
        _labels("bad", "good", "so-so"),
    ),
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["save"]:
        save(Path(sys.argv[2]))
    else:
        main()
