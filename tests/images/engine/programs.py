"""Programs in place of engines, each a script with the answers of a real one."""

from pathlib import Path


def program(folder: Path, name: str, script: str) -> Path:
    """Write a program of a folder, which logs its arguments in NAME.log, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / name
    place.write_text(f'#!/bin/sh\necho "$@" >> {place}.log\n{script}\n', "utf-8")
    place.chmod(0o755)
    return place
