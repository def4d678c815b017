"""The edge copy of a CPU artefact: its graph as it was sealed, its tokenizer set as served, a script that runs them.

The script needs onnxruntime, tokenizers and numpy, and none of our code. It is put together from the parts in
`runners/`, which do what the served code does of a task with nothing but its usual parameters.
"""

import ast
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.manifest import Manifest, file_sha256
from contracts.tasks import Task
from functions.inference.generation import plain_tokenizer
from functions.inference.tasks import head_of
from functions.inference.tokens import INPUTS, open_tokenizer

FOLDER, SCRIPT, README = "edge", "run.py", "README.txt"
MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
IMPORTS = """import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
"""
PARTS = Path(__file__).with_name("runners")
# What no script needs as it was sealed: the manifest seals the artefact, the golden rows prove it, and the tokenizer's
# file is given the settings that the served code makes in code.
LEFT_OUT = {"golden.jsonl", TOKENIZER}
ENCODES = ("opened", "session", "tokenizer")
READS = (*ENCODES, "numbers")
SCRIPTS: Mapping[Task, tuple[str, ...]] = {
    Task.TEXT_CLASSIFICATION: (*ENCODES, "classification", "each"),
    Task.TOKEN_CLASSIFICATION: (*READS, "entities", "each"),
    Task.FEATURE_EXTRACTION: (*ENCODES, "embedding", "each"),
    Task.TEXT_RANKING: (*READS, "ranking", "together"),
    Task.FILL_MASK: (*READS, "masks", "each"),
    Task.QUESTION_ANSWERING: (*READS, "answering", "each"),
    Task.ZERO_SHOT_CLASSIFICATION: (*READS, "zero_shot", "each"),
    Task.TEXT_GENERATION: ("opened", "tokenizer", "generation", "writing", "each"),
    Task.TEXT2TEXT_GENERATION: ("opened", "tokenizer", "seq2seq", "writing", "each"),
    Task.LANGUAGE_MODEL_SCORING: (*ENCODES, "scoring", "each"),
    Task.WORD_VECTORS: ("opened", "session", "words", "each"),
}
MULTI_LABEL = (*ENCODES, "multi_label", "each")
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


def script(artefact: Path, manifest: Manifest) -> str:
    """run.py for an artefact."""
    parts = _parts(manifest)
    title = (
        f'"""{manifest.model} {manifest.version}: {manifest.task} by ONNX Runtime.\n\n'
        f'python {SCRIPT} {_usage(manifest)}\n"""\n\n'
    )
    library = "from tokenizers import Tokenizer\n" if "tokenizer" in parts else ""
    constants = "".join(f"{name} = {value!r}\n" for name, value in _constants(manifest).items())
    text = f"{title}{IMPORTS}{library}\n{constants}"
    before = ""
    for part in parts:
        piece = (PARTS / f"{part}.txt").read_text("utf-8")
        text += "\n\n" if "def " in before or piece.startswith("def ") else ""
        text += piece
        before = piece
    return text.replace("FEEDS", _feeds(artefact / MODEL)) if "FEEDS" in text else text


def _parts(manifest: Manifest) -> tuple[str, ...]:
    return MULTI_LABEL if manifest.details.get("multi_label") else SCRIPTS[manifest.task]


def tokenizer(artefact: Path, manifest: Manifest) -> str:
    """tokenizer.json of the copy: it cuts texts, and pads them where the graph wants that, as the served code does."""
    path, task = artefact / TOKENIZER, manifest.task
    if task in (Task.TEXT_GENERATION, Task.LANGUAGE_MODEL_SCORING):
        return str(plain_tokenizer(path).to_str())
    if task is Task.TEXT2TEXT_GENERATION:
        opened = open_tokenizer(path, manifest.details["context"])
    else:
        reader = head_of(task)
        opened = open_tokenizer(
            path, manifest.max_tokens, truncation=reader.truncation, windows=reader.windows
        )
    if length := manifest.details.get("length"):
        opened.enable_padding(
            direction="left" if "pad_left" in manifest.details else "right",
            pad_id=manifest.pad_token_id,
            pad_type_id=manifest.pad_type_id,
            length=length,
        )
    return str(opened.to_str())


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
        f"      python {SCRIPT} < requests.jsonl   (a text a line, or a request: {_request(manifest)})\n"
    )


def _request(manifest: Manifest) -> str:
    """What a request may hold: `predict` names the parameters, where it takes any."""
    known = parameters(manifest)
    if not known:
        return '{"inputs": [...]}, without parameters'
    return f'{{"inputs": [...], "parameters": {{...}}}}, parameters {" and ".join(known)}'


def parameters(manifest: Manifest) -> list[str]:
    """What the script takes besides inputs."""
    pieces = [(PARTS / f"{part}.txt").read_text("utf-8") for part in _parts(manifest)]
    tree = ast.parse("\n\n".join(pieces))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    (predict,) = [function for function in functions if function.name == "predict"]
    return [argument.arg for argument in predict.args.args[1:]]


def outdated_reason(place: Path, artefact: Path, manifest: Manifest) -> str:
    """What makes it necessary to copy the artefact again; empty where that folder is a whole copy of it."""
    if not place.is_dir():
        return "its edge copy is missing"
    copied = {file.path: file.sha256 for file in _copied(manifest)}
    same = all(_digest(place / name) == digest for name, digest in copied.items())
    texts = _texts(artefact, manifest)
    if same and all(_bytes(place / name) == text.encode() for name, text in texts.items()):
        return ""
    return "its edge copy is not of this artefact"


def write_copy(artefact: Path, manifest: Manifest, place: Path) -> None:
    """Fill a new folder with the copy."""
    place.mkdir()
    for file in _copied(manifest):
        shutil.copyfile(artefact / file.path, place / file.path)
    for name, text in _texts(artefact, manifest).items():
        (place / name).write_text(text, "utf-8")


def _copied(manifest: Manifest) -> list[Any]:
    return [file for file in manifest.files if file.path not in LEFT_OUT]


def _texts(artefact: Path, manifest: Manifest) -> dict[str, str]:
    """What is written for the copy, by file."""
    texts = {SCRIPT: script(artefact, manifest), README: readme(manifest)}
    if "tokenizer" in SCRIPTS[manifest.task]:
        texts[TOKENIZER] = tokenizer(artefact, manifest)
    return texts


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
            "MOST": details["max_new_tokens"],
            "NEW_TOKENS": min(64, details["max_new_tokens"]),
        }
    if manifest.task is Task.LANGUAGE_MODEL_SCORING:
        return {"MOST": manifest.max_tokens}
    if manifest.task in (Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION):
        return {"LABELS": list(manifest.labels)}
    if manifest.task is Task.ZERO_SHOT_CLASSIFICATION:
        return {key.upper(): details[key] for key in ("entailment", "contradiction")}
    return {}


def _feeds(graph: Path) -> str:
    """The graph's inputs for one encoding, as Python writes them."""
    import onnx  # which is not there where candidates are asked on another processor

    model = onnx.load(graph, load_external_data=False)
    pairs = [f'"{node.name}": [encoding.{INPUTS[node.name]}]' for node in model.graph.input]
    return f"{{{', '.join(pairs)}}}"


def _digest(path: Path) -> str:
    return file_sha256(path) if path.is_file() else ""


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
