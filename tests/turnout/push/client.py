"""`python -m tests.turnout.push.client URL BUCKET FOLDER`: a push in a process of its own, which prints how far it is.

A line for each part that is there, and last one of JSON: the bytes sent, those that were there, and the most memory
that the process had, in bytes.
"""

import json
import re
import sys
from pathlib import Path

from contracts.weights.pushed import prefix_of
from images.registry.push import Moved
from turnout.deployed.clients import OBJECT_S, clients_in
from turnout.push.tree import Folder, read_weights
from turnout.push.upload import Uploads

url, bucket, folder = sys.argv[1:]
credentials = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


def told(path: str, moved: Moved) -> None:
    sys.stdout.write(f"{path} {moved.sent + moved.there}\n")
    sys.stdout.flush()


def peak() -> int:
    """Return the most memory of this program; what getrusage has begins with that of the process that started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert found
    return int(found[1]) * 1024


tree = Folder(Path(folder))
weights = read_weights(tree, lambda path, size: None)
uploads = Uploads(clients_in("us-east-1", local=credentials, read_s=OBJECT_S)("s3"), bucket, told)
moved = [uploads.run(tree, file, prefix_of(weights.digest) + file.path) for file in weights.files]
uploads.close()
found = {
    "digest": weights.digest,
    "sent": sum(one.sent for one in moved),
    "there": sum(one.there for one in moved),
    "peak": peak(),
}
sys.stdout.write(json.dumps(found) + "\n")
