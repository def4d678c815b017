"""The process that downloads or describes a source for `build.sources.remote`; its one argument is JSON.

It prints a line of JSON: of a download the pin, which is the folder, the file in it and the version it has; of a
description the values of `build.sources.remote.RemoteModel`. An error is the last line of standard error.
"""

import contextlib
import fnmatch
import glob
import hashlib
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from build.errors import some_of
from build.sources.remote import DESCRIBING, PICKLES, WANTED

# Names of a repository's files that a message shows.
MAX_NAMES = 20


def hugging_face(
    repository: str, file: str, revision: str, folder: Path, *, pickle: bool
) -> dict[str, str]:
    """Download a repository, or one file of it, at the commit that the revision is now, and return the pin.

    Reads HF_ENDPOINT and HF_TOKEN, as the library does. Raise ValueError where there is no such file.
    """
    commit, names, _ = _repository(repository, file, revision)
    # `remote.HF` lets no character of a pattern into a file's name.
    wanted = [file, *signatures_of(file)] if file else list(WANTED)
    if pickle and not file and not any(name.endswith(".safetensors") for name in names):
        wanted += PICKLES
    download = _downloader(repository, commit, folder)
    download(allow_patterns=wanted)
    # Only the graphs themselves tell the names of their external data.
    if data := [glob.escape(name) for name in missing_data(folder) if name in names]:
        download(allow_patterns=data)
    parts = ["hf", *repository.split("/"), commit[:12], *file.split("/")]
    origin = _origin(repository, file, commit)
    return {"folder": _folder(parts, pickle), "file": file, "origin": origin}


def describe_hugging_face(
    repository: str, file: str, revision: str, folder: Path
) -> dict[str, Any]:
    """Download the files that describe a repository, and return what the hub says of it.

    One file is described by its name alone: it is downloaded and built without its neighbours. Raise ValueError where
    there is no such file.
    """
    commit, names, tag = _repository(repository, file, revision)
    if not file:
        _downloader(repository, commit, folder)(allow_patterns=list(DESCRIBING))
    pinned = _origin(repository, file, commit)
    return {"pinned": pinned, "file": file, "names": names, "pipeline_tag": tag}


def _repository(repository: str, file: str, revision: str) -> tuple[str, list[str], str]:
    """Return the commit of a revision, the names of its files, and the model's tag; raise ValueError."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(repository, revision=revision or "main")
    commit, names = info.sha, [sibling.rfilename for sibling in info.siblings or ()]
    if commit is None:
        raise ValueError(f"the hub states no commit of {repository}; write one after the @")
    if file and file not in names:
        raise ValueError(
            f"there is no {file} in it at {commit}; there are {some_of(sorted(names), MAX_NAMES)}"
        )
    return commit, names, info.pipeline_tag or ""


def _downloader(repository: str, commit: str, folder: Path) -> Callable[..., str]:
    from huggingface_hub import snapshot_download

    return partial(snapshot_download, repository, revision=commit, local_dir=folder, max_workers=4)


def _origin(repository: str, file: str, commit: str) -> str:
    return f"hf://{repository}{'/' if file else ''}{file}@{commit}"


def _folder(parts: list[str], pickle: bool) -> str:
    return "--".join([part for part in parts if part] + ["pickle"] * pickle)


def signatures_of(file: str) -> list[str]:
    """Return the names that a signature of one file may have: its own, or that of the folder it lies in."""
    return [f"{file}.sig", str(PurePosixPath(file).with_name("model.sig"))]


def missing_data(folder: Path) -> list[str]:
    """Return the paths within a folder of external data that its graphs name and that are not there.

    Graphs that cannot be read, and data outside of their folders, are left to `build.sources.onnx_file` to refuse.
    """
    graphs, missing = sorted(folder.rglob("*.onnx")), set()
    if not graphs:
        return []
    from google.protobuf.message import DecodeError

    from build.sources.onnx_file import external_files

    for graph in graphs:
        with contextlib.suppress(DecodeError, ValueError):
            for path in (path.resolve() for path in external_files(graph)):
                if path.is_relative_to(graph.parent.resolve()) and not path.exists():
                    missing.add(path.relative_to(folder.resolve()).as_posix())
    return sorted(missing)


def s3(bucket: str, prefix: str, folder: Path, *, pickle: bool) -> dict[str, str]:
    """Download the files of a model under a prefix, or the one object of that name, and return the pin.

    Raise ValueError for a key that leads out of the folder, and where there is nothing.
    """
    import boto3

    client: Any = boto3.client("s3")
    one = _objects(client, bucket, prefix, count=1)
    if _is_object(one, prefix):
        file, root = PurePosixPath(prefix).name, prefix[: prefix.rfind("/") + 1]
        # Escaped, because a bracket in the name would be read as a pattern.
        known, wanted = {file: one[0]}, [glob.escape(file)]
    else:
        file, root = "", f"{prefix}/"
        known = _within(_objects(client, bucket, root), root)
        wanted = [*WANTED, *(PICKLES if pickle else ())]
    named = [n for n in known if any(fnmatch.fnmatch(PurePosixPath(n).name, w) for w in wanted)]
    if not named:
        raise ValueError(f"no file of a model lies under {root}; looked for {', '.join(wanted)}")
    _download(client, bucket, [known[name] for name in named], root, folder)
    data = missing_data(folder)
    if file:
        data += signatures_of(file)
        listed = [e for name in data for e in _objects(client, bucket, root + name, count=1)]
        known |= _within(listed, root)
    data = [name for name in data if name in known]
    _download(client, bucket, [known[name] for name in data], root, folder)
    digests = "".join(_digest(name, known[name]) for name in sorted([*named, *data]))
    key = digests if file and not data else hashlib.sha256(digests.encode()).hexdigest()[:12]
    origin = f"s3://{bucket}/{prefix}#{key}"
    return {"folder": _folder(["s3", bucket, key], pickle), "file": file, "origin": origin}


def describe_s3(bucket: str, prefix: str, folder: Path) -> dict[str, Any]:
    """Download the files that describe a model under a prefix, and return the names that are there.

    Raise ValueError for a key that leads out of the folder, and where there is nothing.
    """
    import boto3

    client: Any = boto3.client("s3")
    file, root = "", f"{prefix}/"
    if _is_object(_objects(client, bucket, prefix, count=1), prefix):
        file, names = PurePosixPath(prefix).name, [PurePosixPath(prefix).name]
    else:
        known = _within(_objects(client, bucket, root), root)
        names = list(known)
        wanted = [n for n in known if any(fnmatch.fnmatch(n, pattern) for pattern in DESCRIBING)]
        _download(client, bucket, [known[name] for name in wanted], root, folder)
    if not names:
        raise ValueError(f"no file lies under {root}; correct the prefix")
    # A bucket has no commits: the first download pins what is there by ETags.
    pinned = f"s3://{bucket}/{prefix}"
    return {"pinned": pinned, "file": file, "names": names, "pipeline_tag": ""}


def _is_object(listed: list[Any], key: str) -> bool:
    return [entry["Key"] for entry in listed] == [key]


def _objects(client: Any, bucket: str, prefix: str, count: int | None = None) -> list[Any]:
    """Return the objects under a prefix, all or the first `count`."""
    if count:
        page = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=count)
        return list(page.get("Contents", ()))
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry for page in pages for entry in page.get("Contents", ())]


def _within(entries: list[Any], root: str) -> dict[str, Any]:
    """Return the objects by their path under the root; raise ValueError for one that is not within it."""
    objects = {}
    for entry in entries:
        path = PurePosixPath(entry["Key"].removeprefix(root))
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(
                f"the key {entry['Key']!r} leads out of its folder; this is not fetched"
            )
        objects[str(path)] = entry
    return objects


def _download(client: Any, bucket: str, entries: list[Any], root: str, folder: Path) -> None:
    for entry in entries:
        target = folder / entry["Key"].removeprefix(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, entry["Key"], str(target))


# An ETag changes with the object, but is no digest of one that was uploaded in parts.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
def _digest(name: str, entry: dict[str, Any]) -> str:
    """Return a digest of an object's version, by the ETag and size in a listing."""
    return hashlib.sha256(f"{name}\0{entry['ETag']}\0{entry['Size']}\n".encode()).hexdigest()[:12]


def main(arguments: dict[str, Any]) -> None:
    """Download or describe what the arguments name and print it; exit with one line for an error."""
    try:
        scheme, *parts = arguments["parts"]
        folder = Path(arguments["folder"])
        found: dict[str, Any]
        if arguments.get("describe"):
            found = DESCRIBERS[scheme](*parts, folder)
        else:
            found = DOWNLOADERS[scheme](*parts, folder, pickle=arguments["pickle"])
        sys.stdout.write(json.dumps(found) + "\n")
    except Exception as error:  # of many libraries: the parent looks for its advice in the line
        line = " ".join(str(error).split())
        sys.exit(f"{type(error).__name__}: {line}")


DOWNLOADERS: dict[str, Callable[..., dict[str, str]]] = {"hf": hugging_face, "s3": s3}
DESCRIBERS: dict[str, Callable[..., dict[str, Any]]] = {
    "hf": describe_hugging_face,
    "s3": describe_s3,
}

if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
