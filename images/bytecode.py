"""Bytecode made ahead, so that a function does not compile at each cold start what it imports.

It is unchecked (PEP 552): the files of a layer have no useful times, and do not change.
"""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from contracts.problems import Code, Problem
from images.errors import ImageError
from images.folders.half_made import check_space, naming
from images.interpreter import Interpreter
from images.layer import Entry

# Run by the base's interpreter, which has nothing of ours.
COMPILE = """
import json, py_compile, sys
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
problems = []
for source, target, name in json.load(sys.stdin):
    try:
        py_compile.compile(source, target, name, doraise=True, optimize=0, invalidation_mode=unchecked)
    except (py_compile.PyCompileError, ValueError) as error:
        problems.append([name, str(error).strip()])
json.dump({"tag": sys.implementation.cache_tag, "problems": problems}, sys.stdout)
"""


def bytecode(entries: Iterable[Entry], interpreter: Interpreter) -> list[Entry]:
    """Return the bytecode of the Python files among entries, with the paths in it that they have in the image.

    Raise ImageError that lists every file which cannot be compiled.
    """
    sources = sorted(
        (entry for entry in entries if entry.source is not None and entry.path.endswith(".py")),
        key=lambda entry: entry.path,
    )
    with tempfile.TemporaryDirectory(prefix="bytecode-") as folder, naming(Path(folder)):
        targets = [Path(folder) / f"{number}.pyc" for number in range(len(sources))]
        todo = [
            (str(_on_disk(entry, target)), str(target), f"/{entry.path}")
            for entry, target in zip(sources, targets, strict=True)
        ]
        done = interpreter.run(COMPILE, todo)
        if done.returncode:
            check_space(done.stderr, Path(folder))
            message = f"the base's Python failed: {done.stderr.strip()[-1000:]}"
            raise ImageError("bytecode", [_problem("", message)])
        result = json.loads(done.stdout)
        if result["problems"]:
            problems = [_problem(name, message) for name, message in result["problems"]]
            raise ImageError("bytecode", problems)
        return [
            Entry(path=_cached(entry.path, result["tag"]), source=target.read_bytes())
            for entry, target in zip(sources, targets, strict=True)
        ]


def _on_disk(entry: Entry, target: Path) -> Path:
    if isinstance(entry.source, Path):
        return entry.source.resolve()
    source = target.with_suffix(".py")
    source.write_bytes(entry.source or b"")
    return source


def _cached(path: str, tag: str) -> str:
    file = PurePosixPath(path)
    return str(file.with_name("__pycache__") / f"{file.stem}.{tag}.pyc")


def _problem(where: str, message: str) -> Problem:
    return Problem(code=Code.FILE_DAMAGED, message=message, where=where)
