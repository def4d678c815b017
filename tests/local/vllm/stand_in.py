"""The folder that `make llamacpp` leaves, with stand-ins in it."""

import shlex
import sys
from pathlib import Path

SERVER = Path(__file__).with_name("llama_server.py")
# In place of llama.cpp's own script: it copies a file of the folder.
CONVERT = """
import shutil, sys
folder, _, target, *rest = sys.argv[1:]
assert rest == ["--outtype", "f16"]
if not __import__("os").path.exists(folder + "/model.safetensors"): sys.exit("Model is not supported")
shutil.copyfile(folder + "/model.safetensors", target)
"""


def install(home: Path) -> Path:
    """Write the folder and return it."""
    for name in ("bin", "source"):
        (home / name).mkdir(parents=True)
    python = home / "bin/python"
    python.write_text(
        f'#!/bin/sh\nshift\nexec {shlex.quote(sys.executable)} {SERVER} "$@"\n', "utf-8"
    )
    python.chmod(0o755)
    (home / "source/convert_hf_to_gguf.py").write_text(CONVERT, "utf-8")
    (home / "ready").touch()
    return home
