"""The bases of images: pulled by their digests, or made from Debian's packages, as `bases.json` has them by name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contracts.problems import Code, Problem
from images.blob import write_atomically
from images.debian import layer as debian_layer
from images.debian.packages import read_debian_lock
from images.errors import ImageError
from images.layer import Layer
from images.registry.pull import pull, resolve
from images.slimming.pieces import read_patterns

TABLE = Path(__file__).resolve().parent / "bases.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base image for Linux x86-64: its layers, its settings, and the version of its Python.

    `archives` are the SHA-256 of the packages of Debian that it is made of, by their names.
    `unused` are the patterns of files that a CPU function does without, of a base that is made here.
    """

    name: str
    layers: tuple[Layer, ...]
    env: dict[str, str]
    python: str
    entrypoint: tuple[str, ...] = field(default=())
    workdir: str = "/var/task"
    archives: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRow:
    """A row of the table: an image with its digest, which is empty until it is known, or a lock of packages."""

    python: str
    image: str = ""
    digest: str = ""
    lock: str = ""
    unused: str = ""


def read_table(table: Path = TABLE) -> dict[str, BaseRow]:
    """Return the rows of the table by their names."""
    document = json.loads(table.read_text("utf-8"))
    return {name: BaseRow(**row) for name, row in document.items()}


def base_of(name: str, work: Path, table: Path = TABLE) -> Base:
    """Return a base, with its layers in `work/blobs`: pulled or made, unless they are there.

    A digest that the table does not have is resolved and recorded in it. Raise ImageError if the base cannot be had.
    """
    rows = read_table(table)
    if name not in rows:
        message = f"there is no such base; there are {', '.join(rows)}"
        raise ImageError(name, [Problem(code=Code.BASE_UNAVAILABLE, message=message)])
    row = rows[name]
    work.mkdir(parents=True, exist_ok=True)
    if row.lock:
        lock = table.parent / row.lock
        layer = debian_layer.base_layer(lock, work, row.python)
        return Base(
            name=name,
            layers=(layer,),
            env=dict(debian_layer.ENVIRONMENT),
            python=row.python,
            entrypoint=debian_layer.ENTRYPOINT,
            archives={one.name: one.sha256 for one in read_debian_lock(lock).packages},
            unused=read_patterns(table.parent / row.unused),
        )
    if not row.digest:
        row = record(name, resolve(row.image), table)
    pulled = pull(row.image, row.digest, work / "blobs")
    return Base(
        name=name,
        layers=pulled.layers,
        env=pulled.env,
        python=row.python,
        entrypoint=pulled.entrypoint,
        workdir=pulled.workdir,
    )


def record(name: str, digest: str, table: Path = TABLE) -> BaseRow:
    """Write the digest of a base into the table; return its row."""
    document = json.loads(table.read_text("utf-8"))
    document[name]["digest"] = digest
    write_atomically(table, json.dumps(document, indent=2) + "\n")
    return read_table(table)[name]
