"""SnapStart: what the function does before Lambda takes a snapshot of it, and in each environment restored from that.

https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
"""

import random
from pathlib import Path

from functions.inference.engine import Engine
from functions.inference.probe import check_probe


def register(engine: Engine, folder: Path) -> None:
    """Have the runtime call `prime` before a snapshot, and `renew` after each restore."""
    from snapshot_restore_py import register_after_restore, register_before_snapshot

    register_before_snapshot(prime, engine, folder)
    register_after_restore(renew)


def prime(engine: Engine, folder: Path) -> None:
    """Answer the probe, so that what a first answer loads and touches is in the snapshot.

    Raise ProbeFailed if the answer is not the sealed one: the version is then not published.
    """
    check_probe(engine, folder)


def renew() -> None:
    """Seed the process's random numbers anew, which all environments of one snapshot would otherwise share.

    Connections and credentials need no renewal, since the function has none: it opens no socket. A text that is sampled
    without a seed takes one from the system each time.
    """
    random.seed()
