"""The process that fetches what `build.remote` asks for, told as its one argument in JSON.

Says in a line of JSON where it put the source and what that was pinned to. What goes wrong is the last line of standard
error.
"""

import fnmatch
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from build.remote import PICKLES, WANTED


def hugging_face(
    repository: str, file: str, revision: str, folder: Path, *, pickle: bool
) -> dict[str, str]:
    """A repository, or one file of it, at the commit that the revision is now.

    Reads HF_ENDPOINT and HF_TOKEN, as the library does. Raises ValueError where there is no such file.
    """
    from huggingface_hub import HfApi, snapshot_download

    info = HfApi().model_info(repository, revision=revision or "main")
    commit, names = info.sha, [sibling.rfilename for sibling in info.siblings or ()]
    assert commit
    wanted = [file] if file else list(WANTED)
    if file and file not in names:
        raise ValueError(f"there is no {file} in it at {commit}; there are {_told(names)}")
    if pickle and not file and not any(name.endswith(".safetensors") for name in names):
        wanted += PICKLES
    snapshot_download(
        repository, revision=commit, local_dir=folder, allow_patterns=wanted, max_workers=4
    )
    parts = ["hf", *repository.split("/"), commit[:12], *file.split("/")]
    origin = f"hf://{repository}{'/' if file else ''}{file}@{commit}"
    return {"folder": _folder(parts, pickle), "file": file, "origin": origin}


def _folder(parts: list[str], pickle: bool) -> str:
    return "--".join([part for part in parts if part] + ["pickle"] * pickle)


def _told(names: list[str]) -> str:
    return ", ".join(sorted(names)[:20]) + (f" and {len(names) - 20} more" * (len(names) > 20))


def s3(bucket: str, prefix: str, folder: Path, *, pickle: bool) -> dict[str, str]:
    """All files of a model under a prefix, or the one object of that name.

    Raises ValueError for a key that leads out of the folder, and where there is nothing.
    """
    import boto3

    client: Any = boto3.client("s3")
    first = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents", ())
    if [entry["Key"] for entry in first] == [prefix]:
        name = PurePosixPath(prefix).name
        client.download_file(bucket, prefix, str(folder / name))
        key = _digest(name, first[0])
        origin = f"s3://{bucket}/{prefix}#{key}"
        return {"folder": _folder(["s3", bucket, key], pickle), "file": name, "origin": origin}
    wanted = [*WANTED, *(PICKLES if pickle else ())]
    told = ""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    for entry in sorted((e for p in pages for e in p.get("Contents", ())), key=lambda e: e["Key"]):
        path = PurePosixPath(entry["Key"].removeprefix(f"{prefix}/"))
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(
                f"the key {entry['Key']!r} leads out of its folder; this is not fetched"
            )
        if not any(fnmatch.fnmatch(path.name, pattern) for pattern in wanted):
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, entry["Key"], str(target))
        told += _digest(str(path), entry)
    if not told:
        raise ValueError(f"no file of a model lies under {prefix}/; looked for {', '.join(wanted)}")
    key = hashlib.sha256(told.encode()).hexdigest()[:12]
    origin = f"s3://{bucket}/{prefix}#{key}"
    return {"folder": _folder(["s3", bucket, key], pickle), "file": "", "origin": origin}


def _digest(name: str, entry: dict[str, Any]) -> str:
    """What tells an object from others of its name, by what a listing says of it."""
    return hashlib.sha256(f"{name}\0{entry['ETag']}\0{entry['Size']}\n".encode()).hexdigest()[:12]


def main(asked: dict[str, Any]) -> None:
    try:
        how, *parts = asked["parts"]
        fetchers: dict[str, Callable[..., dict[str, str]]] = {"hf": hugging_face, "s3": s3}
        found = fetchers[how](*parts, Path(asked["folder"]), pickle=asked["pickle"])
        sys.stdout.write(json.dumps(found) + "\n")
    except Exception as error:  # whatever it is, a user reads one line of it
        line = " ".join(str(error).split())
        sys.exit(f"{type(error).__name__}: {line}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
