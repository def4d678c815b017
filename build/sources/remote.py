"""Sources that lie elsewhere: `hf://org/name@revision` and `s3://bucket/prefix`, brought here once and pinned.

Either may go on to one file, `hf://org/name/file.gguf@revision`, which is brought here alone, or with the data that an
ONNX graph names.

What is fetched lies in `.sources` beside the artefacts, in a folder named by what was there: the commit of a Hugging
Face repository, the digest of an S3 listing. `index.json` says which folder a source was pinned to; without it, it is
fetched anew.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from build.errors import SourceError
from build.workspace.publish import write_json
from contracts.problems import Code, Problem

FOLDER, INDEX = ".sources", "index.json"
HF = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:/([\w./-]+))?(?:@([\w./-]+))?")
S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+?)/?")
# Files that a model is made of; what a graph keeps its tensors in comes too, whatever it is called. Pickles are among
# them only where the user allows them: they can run code.
WANTED = (
    "*.json",
    "*.safetensors",
    "*.txt",
    "*.vec",
    "*.model",
    "*.onnx",
    "*.onnx_data",
    "*.onnx.data",
    "README.md",
    "*.tflite",
    "saved_model.pb",
    "variables.*",
)
PICKLES = ("*pytorch_model*.bin",)
ROOT = Path(__file__).parents[2]
NOT_FETCHED = "not fetched yet; `turnout build` does it"
NOT_UNDERSTOOD = "not understood; write hf://org/name@revision or s3://bucket/prefix, which may go on to one file"
# What to do about it, by what the libraries say.
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
# Longer texts of libraries are for their own debugging; what matters of them is their kind.
TOLD_CHARS = 200


def located(
    source: Path | str, out: Path, *, pickle: bool = False
) -> tuple[Path | None, str, Problem | None]:
    """Where a source lies here, what it was pinned to, and what is wrong; reads the index alone."""
    if isinstance(source, Path):
        return source, "", None
    if not _understood(source):
        return None, "", _not_understood(source)
    pinned = _index(out).get(_key(source, pickle))
    if pinned is None or not (out / FOLDER / pinned["folder"]).is_dir():
        return None, "", not_fetched(source)
    return out / FOLDER / pinned["folder"] / pinned.get("file", ""), pinned["origin"], None


def not_fetched(source: str) -> Problem:
    """Return the problem of a source that has not been brought to this machine yet."""
    return Problem(code=Code.NOT_FETCHED, where=source, message=NOT_FETCHED)


def _not_understood(source: str) -> Problem:
    return Problem(code=Code.SETTING_INVALID, where=source, message=NOT_UNDERSTOOD)


def fetch(
    source: str, out: Path, environment: Mapping[str, str] = os.environ, *, pickle: bool = False
) -> None:
    """Bring a source here and pin it, unless it is here already; raises SourceError.

    Endpoints and credentials are those of the environment: HF_ENDPOINT, HF_TOKEN, and all that boto3 reads. With
    `pickle`, weights that are pickles come too where there are no others.
    """
    if located(source, out, pickle=pickle)[0] is not None:
        return
    parts = _understood(source)
    if not parts:
        raise SourceError([_not_understood(source)])
    made = [place for place in (out / FOLDER, out) if not place.exists()]
    try:
        said = _fetch(source, parts, out, environment, pickle)
    except BaseException:
        for place in made:
            with contextlib.suppress(OSError):  # another build has put something there
                place.rmdir()
        raise
    write_json(out / FOLDER / INDEX, {**_index(out), _key(source, pickle): said})


def _understood(source: str) -> list[str]:
    """What kind of place it is, and its parts; empty where it is neither."""
    for pattern, how in ((HF, "hf"), (S3, "s3")):
        match = pattern.fullmatch(source)
        if match and ".." not in source.split("/"):
            return [how, *(part or "" for part in match.groups())]
    return []


def _key(source: str, pickle: bool) -> str:
    return f"{source} with pickles" if pickle else source


def _fetch(
    source: str, parts: list[str], out: Path, environment: Mapping[str, str], pickle: bool
) -> dict[str, str]:
    """In a process of its own, which no setting of a library that was imported before can keep from the network."""
    half = out / FOLDER / f".half-{os.getpid()}"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    asked = {"parts": parts, "folder": str(half.resolve()), "pickle": pickle}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "build.sources.remote_download", json.dumps(asked)],
            cwd=ROOT,
            env={k: v for k, v in environment.items() if not k.endswith("_OFFLINE")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            raise SourceError.about(
                source, Code.FETCH_FAILED, f"cannot be fetched: {_advised(last)}"
            )
        said: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
        folder = out / FOLDER / said["folder"]
        shutil.rmtree(folder, ignore_errors=True)
        half.rename(folder)
        return said
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _advised(error: str) -> str:
    """What went wrong, and what to do about it."""
    kind = error.split(":")[0]
    told = error if len(error) <= TOLD_CHARS or kind == "ValueError" else kind
    advice = next((do for said, do in ADVICE.items() if re.search(said, error)), OTHERWISE)
    return f"{told.rstrip('.')}; {advice}"


def _index(out: Path) -> dict[str, dict[str, str]]:
    """What is pinned; what cannot be read is as good as not there, and fetched anew."""
    try:
        found = json.loads((out / FOLDER / INDEX).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {source: entry for source, entry in entries if _is_pinned(entry)}


def _is_pinned(entry: Any) -> bool:
    """Whether it names a folder here, and perhaps a file within that."""
    match entry:
        case {"folder": str(folder), "origin": str()}:
            file = entry.get("file", "")
            within = isinstance(file, str) and not PurePosixPath(file).is_absolute()
            return PurePosixPath(folder).name == folder and within and ".." not in file.split("/")
    return False
