"""The process that fetches: `python -m build.fetched hf ORG/NAME REVISION FOLDER` or `s3 BUCKET PREFIX FOLDER`.

Says in a line of JSON what it was pinned to. What goes wrong is the last line of standard error.
"""

import fnmatch
import hashlib
import json
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from build.remote import WANTED


def hugging_face(repository: str, revision: str, folder: Path) -> dict[str, str]:
    """A repository at the commit that the revision is now. Reads HF_ENDPOINT and HF_TOKEN, as the library does."""
    from huggingface_hub import HfApi, snapshot_download

    commit = HfApi().model_info(repository, revision=revision).sha
    assert commit
    snapshot_download(
        repository, revision=commit, local_dir=folder, allow_patterns=list(WANTED), max_workers=4
    )
    name = repository.replace("/", "--")
    return {"folder": f"hf--{name}--{commit[:12]}", "origin": f"hf://{repository}@{commit}"}


def s3(bucket: str, prefix: str, folder: Path) -> dict[str, str]:
    """All files of a model under a prefix; raises ValueError for a key that leads out of the folder."""
    import boto3

    client: Any = boto3.client("s3")
    digest = hashlib.sha256()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    for entry in sorted((e for p in pages for e in p.get("Contents", ())), key=lambda e: e["Key"]):
        name = PurePosixPath(entry["Key"].removeprefix(f"{prefix}/"))
        if name.is_absolute() or ".." in name.parts:
            raise ValueError(
                f"the key {entry['Key']!r} leads out of its folder; this is not fetched"
            )
        if not any(fnmatch.fnmatch(name.name, pattern) for pattern in WANTED):
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, entry["Key"], str(target))
        digest.update(f"{name}\0{entry['ETag']}\0{entry['Size']}\n".encode())
    if not any(folder.iterdir()):
        raise ValueError(f"no file of a model lies under {prefix}/; looked for {', '.join(WANTED)}")
    key = digest.hexdigest()[:12]
    return {"folder": f"s3--{bucket}--{key}", "origin": f"s3://{bucket}/{prefix}#{key}"}


def main(how: str, first: str, second: str, folder: str) -> None:
    try:
        fetchers = {"hf": hugging_face, "s3": s3}
        sys.stdout.write(json.dumps(fetchers[how](first, second, Path(folder))) + "\n")
    except Exception as error:  # whatever it is, a user reads one line of it
        line = " ".join(str(error).split())
        sys.exit(f"{type(error).__name__}: {line}")


if __name__ == "__main__":
    main(*sys.argv[1:])
