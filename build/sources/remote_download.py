"""The process that downloads a source for `build.sources.remote`; its one argument is JSON.

It prints a line of JSON, the pin: the folder, the file in it, and the version it has. An error is the last line of
standard error.
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
from build.sources.remote import PICKLES, WANTED

# Names of a repository's files that a message shows.
MAX_NAMES = 20


def hugging_face(
    repository: str, file: str, revision: str, folder: Path, *, pickle: bool
) -> dict[str, str]:
    """Download a repository, or one file of it, at the commit that the revision is now, and return the pin.

    Reads HF_ENDPOINT and HF_TOKEN, as the library does. Raise ValueError where there is no such file.
    """
    from huggingface_hub import HfApi, snapshot_download

    info = HfApi().model_info(repository, revision=revision or "main")
    commit, names = info.sha, [sibling.rfilename for sibling in info.siblings or ()]
    if commit is None:
        raise ValueError(f"the hub states no commit of {repository}; write one after the @")
    # `remote.HF` lets no character of a pattern into a file's name.
    wanted = [file] if file else list(WANTED)
    if file and file not in names:
        raise ValueError(
            f"there is no {file} in it at {commit}; there are {some_of(sorted(names), MAX_NAMES)}"
        )
    if pickle and not file and not any(name.endswith(".safetensors") for name in names):
        wanted += PICKLES
    download = partial(
        snapshot_download, repository, revision=commit, local_dir=folder, max_workers=4
    )
    download(allow_patterns=wanted)
    # Only the graphs themselves tell the names of their external data.
    if data := [glob.escape(name) for name in missing_data(folder) if name in names]:
        download(allow_patterns=data)
    parts = ["hf", *repository.split("/"), commit[:12], *file.split("/")]
    origin = f"hf://{repository}{'/' if file else ''}{file}@{commit}"
    return {"folder": _folder(parts, pickle), "file": file, "origin": origin}


def _folder(parts: list[str], pickle: bool) -> str:
    return "--".join([part for part in parts if part] + ["pickle"] * pickle)


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
    if [entry["Key"] for entry in one] == [prefix]:
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
        listed = [e for name in data for e in _objects(client, bucket, root + name, count=1)]
        known |= _within(listed, root)
    data = [name for name in data if name in known]
    _download(client, bucket, [known[name] for name in data], root, folder)
    digests = "".join(_digest(name, known[name]) for name in sorted([*named, *data]))
    key = digests if file and not data else hashlib.sha256(digests.encode()).hexdigest()[:12]
    origin = f"s3://{bucket}/{prefix}#{key}"
    return {"folder": _folder(["s3", bucket, key], pickle), "file": file, "origin": origin}


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
    """Download what the arguments name and print the pin; exit with one line for an error."""
    try:
        scheme, *parts = arguments["parts"]
        downloaders: dict[str, Callable[..., dict[str, str]]] = {"hf": hugging_face, "s3": s3}
        folder, pickle = Path(arguments["folder"]), arguments["pickle"]
        pin = downloaders[scheme](*parts, folder, pickle=pickle)
        sys.stdout.write(json.dumps(pin) + "\n")
    except Exception as error:  # of many libraries: the parent looks for its advice in the line
        line = " ".join(str(error).split())
        sys.exit(f"{type(error).__name__}: {line}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
