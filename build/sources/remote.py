"""Remote sources: `hf://org/name@revision` and `s3://bucket/prefix`, downloaded once and pinned.

Either may name one file, `hf://org/name/file.gguf@revision`, which is downloaded alone, or with the external data of an
ONNX graph.

Downloads lie in `.sources` beside the artefacts, in a folder named after what it holds: the commit of a Hugging Face
repository, or the digest of an S3 listing. `index.json` maps each source to its folder; a source that is not in it is
downloaded again.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from build.errors import SourceError
from build.workspace.checkout import ROOT
from build.workspace.publish import write_json
from contracts.problems import Code, Problem

FOLDER, INDEX = ".sources", "index.json"
HF = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:/([\w./-]+))?(?:@([\w./-]+))?")
S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+?)/?")
# Patterns of a model's files; the external data of a graph are downloaded besides, whatever their names. Pickles are
# not among them unless the user allows them, since loading one can run code.
WANTED = (
    "*.json",
    "*.jinja",
    "*.safetensors",
    "*.txt",
    "*.vec",
    "*.model",
    "*.spm",
    "*.onnx",
    "*.onnx_data",
    "*.onnx.data",
    "README.md",
    "*.tflite",
    "saved_model.pb",
    "variables.*",
    "*.sig",
)
PICKLES = ("*pytorch_model*.bin",)
# Patterns of the files that describe a model, without its weights: settings, tokenizer, card, and the weights' index.
DESCRIBING = (
    "*config*.json",
    "*.safetensors.index.json",
    "tokenizer.json",
    "vocab.json",
    "target_vocab.json",
    "*.spm",
    "special_tokens_map.json",
    "modules.json",
    "*.jinja",
    "README.md",
)
NOT_FETCHED = "not fetched yet; `turnout build` does it"
NOT_UNDERSTOOD = "not understood; write hf://org/name@revision or s3://bucket/prefix, which may go on to one file"
# The next step, by what an error of huggingface_hub or botocore contains.
ADVICE = {
    r"RepositoryNotFound|GatedRepo|\b40[13] Client": "check its name, or set HF_TOKEN to a token that may read it",
    r"RevisionNotFound": "write a branch, a tag or a commit that is there after the @",
    r"Credential|NoRegion|InvalidAccessKeyId|ExpiredToken|SignatureDoesNotMatch": (
        "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, to an account that may read it"
    ),
    r"NoSuchBucket": "check the bucket's name and AWS_ENDPOINT_URL",
    r"AccessDenied|Forbidden": "ask its owner for s3:ListBucket and s3:GetObject on it",
    r"Connect|Timeout|MaxRetry|Proxy|LocalEntryNotFound|NameResolution": (
        "see whether this machine may reach it, or put the model into a folder and name that under `source`"
    ),
}
OTHERWISE = "correct that, or put the model into a folder and name that under `source`"
# Longer messages are for the library's own debugging: of those only the type is shown.
MAX_MESSAGE = 200


def located(
    source: Path | str, out: Path, *, pickle: bool = False
) -> tuple[Path | None, str, Problem | None]:
    """Return the local path of a source, the version it is pinned to, and its problem; read nothing but the index."""
    if isinstance(source, Path):
        return source, "", None
    if not _parsed(source):
        return None, "", _not_understood(source)
    pinned = _index(out).get(_key(source, pickle))
    if pinned is None or not (out / FOLDER / pinned["folder"]).is_dir():
        return None, "", not_fetched(source)
    return out / FOLDER / pinned["folder"] / pinned.get("file", ""), pinned["origin"], None


def not_fetched(source: str) -> Problem:
    """Return the problem of a source that is not downloaded yet."""
    return Problem(code=Code.NOT_FETCHED, where=source, message=NOT_FETCHED)


def _not_understood(source: str) -> Problem:
    return Problem(code=Code.SETTING_INVALID, where=source, message=NOT_UNDERSTOOD)


def fetch(
    source: str, out: Path, environment: Mapping[str, str] = os.environ, *, pickle: bool = False
) -> None:
    """Download a source and pin it, unless it is here already; raise SourceError.

    Endpoints and credentials are those of the environment: HF_ENDPOINT, HF_TOKEN, and all that boto3 reads. With
    `pickle`, pickled weights are downloaded too where there are no others.
    """
    if located(source, out, pickle=pickle)[0] is not None:
        return
    parts = _parsed(source)
    if not parts:
        raise SourceError([_not_understood(source)])
    new_folders = [folder for folder in (out / FOLDER, out) if not folder.exists()]
    try:
        pin = _download(source, parts, out, environment, pickle)
    except BaseException:
        for folder in new_folders:
            with contextlib.suppress(OSError):  # another build may have put something there
                folder.rmdir()
        raise
    write_json(out / FOLDER / INDEX, {**_index(out), _key(source, pickle): pin})


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModel:
    """A source as a hub or a bucket describes it: the version it has now, and the names of its files.

    `pinned` is the source as models.toml may name it, at that version where its scheme has versions. `file` is the one
    file that the source names, "" for a whole repository. `pipeline_tag` is the hub's name of the model's task.
    """

    pinned: str
    file: str
    names: tuple[str, ...]
    pipeline_tag: str


def describe(source: str, folder: Path, environment: Mapping[str, str] = os.environ) -> RemoteModel:
    """Download the files that describe a source into a folder, none of its weights; raise SourceError.

    Endpoints and credentials are those of the environment, as for `fetch`.
    """
    parts = _parsed(source)
    if not parts:
        raise SourceError([_not_understood(source)])
    arguments = {"describe": True, "parts": parts, "folder": str(folder.resolve())}
    found = _in_process(source, arguments, environment)
    return RemoteModel(**{**found, "names": tuple(found["names"])})


def _parsed(source: str) -> list[str]:
    """Return the scheme of a source and its parts; nothing where it is neither."""
    for pattern, scheme in ((HF, "hf"), (S3, "s3")):
        match = pattern.fullmatch(source)
        # A part that leads up would leave the folder of downloads.
        if match and ".." not in source.split("/"):
            return [scheme, *(part or "" for part in match.groups())]
    return []


def _key(source: str, pickle: bool) -> str:
    return f"{source} with pickles" if pickle else source


def _download(
    source: str, parts: list[str], out: Path, environment: Mapping[str, str], pickle: bool
) -> dict[str, str]:
    """Download and return the pin; raise SourceError."""
    # The folder gets its own name only once it is complete, so that half a download is never taken for a source.
    half = out / FOLDER / f".half-{os.getpid()}"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    arguments = {"parts": parts, "folder": str(half.resolve()), "pickle": pickle}
    try:
        pin: dict[str, str] = _in_process(source, arguments, environment)
        folder = out / FOLDER / pin["folder"]
        shutil.rmtree(folder, ignore_errors=True)
        half.rename(folder)
        return pin
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _in_process(
    source: str, arguments: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a process of its own downloads or describes; raise SourceError.

    huggingface_hub reads HF_HUB_OFFLINE once, when it is imported: what this process has imported must not decide.
    """
    done = subprocess.run(
        [sys.executable, "-m", "build.sources.remote_download", json.dumps(arguments)],
        cwd=ROOT,
        env={k: v for k, v in environment.items() if not k.endswith("_OFFLINE")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise SourceError.about(
            source, Code.FETCH_FAILED, f"cannot be fetched: {_with_advice(last)}"
        )
    # The last line: libraries may print others before it.
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _with_advice(error: str) -> str:
    """Return a library's error, or only its type where it is long, with the next step."""
    kind = error.split(":")[0]
    shown = error if len(error) <= MAX_MESSAGE or kind == "ValueError" else kind
    advice = next(
        (step for pattern, step in ADVICE.items() if re.search(pattern, error)), OTHERWISE
    )
    return f"{shown.rstrip('.')}; {advice}"


def _index(out: Path) -> dict[str, dict[str, str]]:
    """Return the pins; those that cannot be read are left out, so that their sources are downloaded again."""
    try:
        document = json.loads((out / FOLDER / INDEX).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    entries = document.items() if isinstance(document, dict) else ()
    return {source: entry for source, entry in entries if _is_pinned(entry)}


def _is_pinned(entry: Any) -> bool:
    """Return whether an entry names a folder beside the index, and perhaps a file within it."""
    match entry:
        case {"folder": str(folder), "origin": str()}:
            file = entry.get("file", "")
            within = isinstance(file, str) and not PurePosixPath(file).is_absolute()
            return PurePosixPath(folder).name == folder and within and ".." not in file.split("/")
    return False
