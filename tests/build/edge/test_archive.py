"""The zip application of an edge copy: what is in it, and that it is all that a copy needs."""

import ast
import io
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from build.edge.archive import RUNNER, archive, sources

MODULES = [
    name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    for name in sources()
    if name.endswith(".py") and name != "__main__.py"
]
# Prints the files that the modules named came from, those of our packages alone.
IMPORT_ALL = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(name)
ours = {"build", "contracts", "functions", "images", "local", "stacks", "turnout"}
print(*(m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ours), sep="\\n")
"""


def test_it_holds_contracts_inference_the_runner_and_the_licence_and_nothing_else() -> None:
    with zipfile.ZipFile(io.BytesIO(archive())) as file:
        names = file.namelist()
    assert names == sorted(names)
    assert {name.split("/")[0] for name in names} == {
        "LICENSE",
        "__main__.py",
        "contracts",
        "functions",
    }
    assert all(name.endswith(".py") for name in names if name != "LICENSE")
    served = {name for name in names if name.startswith("functions/")}
    assert {name.split("/")[1] for name in served} == {"__init__.py", "inference"}
    assert not {"contracts/models_toml.py", "contracts/routes.py"} & set(names)


def test_the_same_code_makes_the_same_bytes_whenever_it_is_packed() -> None:
    first = archive()
    time.sleep(2)  # the times in a zip file are even seconds
    assert archive() == first
    with zipfile.ZipFile(io.BytesIO(first)) as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_its_modules_import_nothing_of_ours_that_is_not_in_it(tmp_path: Path) -> None:
    path = tmp_path / "run.pyz"
    path.write_bytes(archive())
    done = subprocess.run(
        [sys.executable, "-I", "-c", IMPORT_ALL, path, *MODULES],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    files = done.stdout.split()
    assert len(files) == len(MODULES)
    assert all(file.startswith(f"{path}/") for file in files)


def test_word_vectors_are_served_without_a_tokenizer(tmp_path: Path) -> None:
    path = tmp_path / "run.pyz"
    path.write_bytes(archive())
    code = "import sys; sys.path.insert(0, sys.argv[1]); import functions.inference.words.word_vectors; "
    code += "print('tokenizers' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, path], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_the_runner_is_short() -> None:
    tree = ast.parse(RUNNER.read_text("utf-8"))
    lines = [
        line
        for function in tree.body
        if isinstance(function, ast.FunctionDef)
        for statement in function.body[1:]
        for line in ast.unparse(statement).splitlines()
    ]
    assert len(lines) <= 25
