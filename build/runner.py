"""The edge copy of a CPU artefact: its graph and tokenizer as they were sealed, and a script that runs them.

The script needs onnxruntime, tokenizers and numpy, and none of our code. It is put together from the parts in
`runners/`, which do what the served code does of a task with nothing but its usual parameters.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.manifest import Manifest, file_sha256
from contracts.tasks import Task
from functions.inference.tokens import stride_of

FOLDER, SCRIPT, README = "edge", "run.py", "README.txt"
PARTS = Path(__file__).with_name("runners")
# What no script needs: the manifest seals the artefact, the golden rows prove it.
LEFT_OUT = {"golden.jsonl"}
READ = ("opened", "tokenizer", "encoder")
WRITTEN = ("opened", "tokenizer", "writing")
SCRIPTS: Mapping[Task, tuple[str, ...]] = {
    Task.TEXT_CLASSIFICATION: (*READ, "softmax", "classification"),
    Task.TOKEN_CLASSIFICATION: (*READ, "softmax", "entities"),
    Task.FEATURE_EXTRACTION: (*READ, "embedding"),
    Task.TEXT_RANKING: (*READ, "ranking"),
    Task.FILL_MASK: (*READ, "softmax", "masks"),
    Task.QUESTION_ANSWERING: (*READ, "softmax", "answering"),
    Task.ZERO_SHOT_CLASSIFICATION: (*READ, "softmax", "zero_shot"),
    Task.TEXT_GENERATION: (*WRITTEN, "generation"),
    Task.TEXT2TEXT_GENERATION: (*WRITTEN, "seq2seq"),
    Task.LANGUAGE_MODEL_SCORING: ("opened", "tokenizer", "scoring"),
    Task.WORD_VECTORS: ("opened", "words"),
}
MULTI_LABEL = (*READ, "multi_label")
USAGE = {
    Task.TEXT_RANKING: """'{"inputs": ["a text", "another"], "parameters": {"query": "the query"}}'""",
    Task.ZERO_SHOT_CLASSIFICATION: (
        """'{"inputs": ["some text"], "parameters": {"candidate_labels": ["one label", "another"]}}'"""
    ),
    Task.QUESTION_ANSWERING: (
        """'{"inputs": [{"question": "the question", "context": "the text that answers it"}]}'"""
    ),
    Task.FILL_MASK: '"some text with the mask token in it"',
    Task.WORD_VECTORS: "king",
}
CUTS = {
    Task.ZERO_SHOT_CLASSIFICATION: "only_first",
    Task.QUESTION_ANSWERING: "only_second",
}
WINDOWS = {Task.TOKEN_CLASSIFICATION, Task.QUESTION_ANSWERING}


def script(manifest: Manifest) -> str:
    """run.py for an artefact."""
    parts = SCRIPTS[manifest.task]
    if manifest.details.get("multi_label"):
        parts = MULTI_LABEL
    title = (
        f'"""{manifest.model} {manifest.version}: {manifest.task} by ONNX Runtime.\n\n'
        f'python {SCRIPT} {_usage(manifest)}\n"""\n\n'
    )
    constants = "".join(f"{name} = {value!r}\n" for name, value in _constants(manifest).items())
    texts = [(PARTS / f"{part}.txt").read_text("utf-8") for part in ("imports", *parts, "main")]
    library = "from tokenizers import Tokenizer\n" if "tokenizer" in parts else ""
    return f"{title}{texts[0]}{library}\n{constants}{''.join(texts[1:])}"


def readme(manifest: Manifest) -> str:
    """README.txt for an artefact."""
    known = manifest.provenance.get("licence")
    licence = f", licence {known}" if known else ""
    tools = " ".join(
        f"{tool}=={manifest.toolchain[tool]}"
        for tool in ("onnxruntime", "tokenizers")
        if tool in manifest.toolchain
        and tool.rstrip("s") in ("onnxruntime", *SCRIPTS[manifest.task])
    )
    return (
        f"{manifest.model} {manifest.version}, {manifest.recipe}{licence}.\n"
        "Copy this folder to where Python 3.11 or newer is,\n"
        f"then: pip install {tools} numpy\n"
        f"      python {SCRIPT} {_usage(manifest)}\n"
        f"      python {SCRIPT} < requests.jsonl   (texts, or requests, a line each: "
        '{"inputs": [...], "parameters": {...}})\n'
    )


def lacking(place: Path, manifest: Manifest) -> str:
    """What makes it necessary to copy the artefact again; empty where that folder is a whole copy of it."""
    if not place.is_dir():
        return "its edge copy is missing"
    copied = {file.path: file.sha256 for file in _parts(manifest)}
    texts = {SCRIPT: script(manifest), README: readme(manifest)}
    same = all(_digest(place / name) == digest for name, digest in copied.items())
    if same and all(_text(place / name) == text for name, text in texts.items()):
        return ""
    return "its edge copy is not of this artefact"


def write_copy(artefact: Path, manifest: Manifest, place: Path) -> None:
    """Fill a new folder with the copy."""
    place.mkdir()
    for file in _parts(manifest):
        shutil.copyfile(artefact / file.path, place / file.path)
    (place / SCRIPT).write_text(script(manifest), "utf-8")
    (place / README).write_text(readme(manifest), "utf-8")


def _parts(manifest: Manifest) -> list[Any]:
    return [file for file in manifest.files if file.path not in LEFT_OUT]


def _usage(manifest: Manifest) -> str:
    return USAGE.get(manifest.task, '"some text"')


def _constants(manifest: Manifest) -> dict[str, Any]:
    """What the script has to know of the model, under the names that its parts use."""
    details = manifest.details
    if "writing" in SCRIPTS[manifest.task]:
        return {
            "CONTEXT": details["context"],
            "START": details["start_token_id"],
            "ENDS": list(details["eos_token_ids"]),
            "NEW_TOKENS": min(64, details["max_new_tokens"]),
        }
    if manifest.task is Task.WORD_VECTORS:
        return {}
    if manifest.task is Task.LANGUAGE_MODEL_SCORING:
        return {"MOST": manifest.max_tokens}
    cut: dict[str, Any] = {"max_length": manifest.max_tokens}
    if manifest.task in WINDOWS:
        cut["stride"] = stride_of(manifest.max_tokens)
    if manifest.task in CUTS:
        cut["strategy"] = CUTS[manifest.task]
    known: dict[str, Any] = {"CUT": cut}
    if manifest.task in (Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION):
        known["LABELS"] = list(manifest.labels)
    if manifest.task is Task.ZERO_SHOT_CLASSIFICATION:
        known |= {key.upper(): details[key] for key in ("entailment", "contradiction")}
    return known


def _digest(path: Path) -> str:
    return file_sha256(path) if path.is_file() else ""


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""
