"""`python -m tests.turnout.push.client URL BUCKET FOLDER KEPT [SHARD]`: a push in a process of its own.

A line for each part that is there, and last one of JSON: the bytes sent, those that were there, those that were read
of the shards, and the most memory that the process had, in bytes. It ends itself once a part of that shard is there, as
by `kill -9`.
"""

import json
import os
import re
import signal
import sys
from pathlib import Path

from contracts.weights.pushed import prefix_of
from images.registry.push import Moved
from tests.turnout.push.counted import Counted
from turnout.deployed.clients import OBJECT_S, clients_in
from turnout.push.kept import PART, Kept
from turnout.push.tree import Folder, read_weights
from turnout.push.upload import Uploads

url, bucket, folder, records, *dies_in = sys.argv[1:]
credentials = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


def told(path: str, moved: Moved) -> None:
    sys.stdout.write(f"{path} {moved.sent + moved.there}\n")
    sys.stdout.flush()
    if path in dies_in and moved.sent + moved.there >= PART:
        os.kill(os.getpid(), signal.SIGKILL)


def peak() -> int:
    """Return the most memory of this program; what getrusage has begins with that of the process that started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert found
    return int(found[1]) * 1024


tree, kept = Counted(Folder(Path(folder))), Kept(Path(records))
weights = read_weights(tree, lambda path, size: None, kept)
s3 = clients_in("us-east-1", local=credentials, read_s=OBJECT_S)("s3")
uploads = Uploads(s3, bucket, told, kept)
moved = [uploads.run(tree, file, prefix_of(weights.digest) + file.path) for file in weights.files]
uploads.close()
found = {
    "digest": weights.digest,
    "sent": sum(one.sent for one in moved),
    "there": sum(one.there for one in moved),
    "read": tree.shards,
    "peak": peak(),
}
sys.stdout.write(json.dumps(found) + "\n")
