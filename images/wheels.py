"""The dependencies of an image: the wheels of a lock, unpacked under the folder that the function runs in."""

from pathlib import Path, PurePosixPath

from contracts.manifest import file_sha256
from contracts.problems import Code, Problem
from images.errors import ImageError
from images.layer import Entry
from images.wheel_files.downloads import wheels_of
from images.wheel_files.unpacking import WheelFile, unpack_wheel

# https://docs.aws.amazon.com/lambda/latest/dg/python-image.html: LAMBDA_TASK_ROOT of AWS's base.
TASK_ROOT = "var/task"
PYTHON = "3.13"
# The folder of wheels that are kept.
WHEELS = "wheels"


def dependencies(
    lock: Path, work: Path, *, python: str = PYTHON, into: str = TASK_ROOT
) -> list[Entry]:
    """Return the files of a lock's packages for a version of Python on Linux x86-64, by path.

    Wheels are kept in `work/wheels` and unpacked in `work/unpacked`, which the entries point into. Raise ImageError
    that names every package which does not match the lock or its own RECORD, and every file that two of them have.
    """
    wheels = wheels_of(lock, work / WHEELS, python)
    files: dict[str, list[WheelFile]] = {}
    problems: list[Problem] = []
    for wheel in wheels:
        try:
            unpacked = unpack_wheel(wheel, work / "unpacked" / file_sha256(wheel))
        except ImageError as error:
            problems += [problem.within(wheel.name) for problem in error.problems]
        else:
            files[wheel.name] = list(unpacked)
    problems += clashes(files)
    if problems:
        raise ImageError(lock, problems)
    return sorted(
        (
            Entry(path=f"{into}/{file.path}", source=file.source, executable=file.executable)
            for of_wheel in files.values()
            for file in of_wheel
        ),
        key=lambda entry: entry.path,
    )


def clashes(files: dict[str, list[WheelFile]]) -> list[Problem]:
    """Return a problem for each path that two wheels have, or that is a file of one and a folder of another."""
    owner: dict[str, str] = {}
    problems = []
    for wheel, of_wheel in files.items():
        for file in of_wheel:
            other = owner.setdefault(file.path, wheel)
            if other != wheel:
                problems.append(_clash(file.path, other, wheel))
    for path, wheel in owner.items():
        for parent in PurePosixPath(path).parents:
            if str(parent) in owner:
                problems.append(_clash(str(parent), owner[str(parent)], wheel))
    return problems


def _clash(path: str, first: str, second: str) -> Problem:
    message = f"{first} and {second} both have it; take one of them out of the lock"
    return Problem(code=Code.DEPENDENCY_REFUSED, message=message, where=path)
