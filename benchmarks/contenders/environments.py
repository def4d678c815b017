"""Environments of the contenders, at versions that were tried together."""

import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from build.export.optimum.environment import ENVIRONMENT as OPTIMUM

PROJECT = "project"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """`over` names the environments whose packages lie behind those installed here: the project's has torch."""

    packages: tuple[str, ...]
    over: tuple[str, ...] = ()
    alone: bool = False


# The runtimes that `--runtimes` compares besides the one the project pins.
RUNTIMES = ("1.23.2", "1.28.0", "1.30.0", "1.32.0")

ENVIRONMENTS = {
    "openvino": Environment(packages=("openvino==2026.4.1", "nncf==3.4.0")),
    "ctranslate2": Environment(packages=("ctranslate2==4.8.5",), over=(PROJECT,)),
    "sentence": Environment(
        packages=("sentence-transformers==5.1.2", "pillow==12.0.0", "optimum-intel==1.27.0"),
        # Its ONNX backend is optimum's, which has a transformers of its own, and that of OpenVINO is optimum-intel's.
        over=(OPTIMUM.name, PROJECT, "openvino"),
        alone=True,
    ),
    "llama": Environment(packages=("llama-cpp-python==0.3.36",)),
    **{
        f"onnxruntime-{version}": Environment(
            packages=(f"onnxruntime=={version}", "numpy==2.4.6", "tokenizers==0.22.2")
        )
        for version in RUNTIMES
    },
}


def python_of(name: str, envs: Path) -> Path:
    """Return the interpreter of an environment; the project's own is the running one."""
    # Not `resolve`: bin/python is a link, and what it leads to is the Python without the environment.
    return Path(sys.executable) if name == PROJECT else (envs / name / "bin/python").absolute()


def set_up(envs: Path, names: tuple[str, ...], report: Callable[[str], None]) -> list[str]:
    """Make each missing environment; return the names of those that failed."""
    failed = []
    for name in names:
        mark = envs / name / "ready"
        if mark.exists():
            continue
        report(f"installing {name}: {' '.join(ENVIRONMENTS[name].packages)}")
        try:
            _make(envs / name, ENVIRONMENTS[name])
        except subprocess.CalledProcessError as error:
            report(f"{name} cannot be installed: {error.stderr.strip()[-400:]}")
            failed.append(name)
            continue
        # Last, so that an environment that was installed by half is made again.
        mark.touch()
    return failed


def _make(folder: Path, environment: Environment) -> None:
    _run(sys.executable, "-m", "venv", str(folder))
    words = ["--no-deps"] if environment.alone else []
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet"]
    _run(*pip, "--disable-pip-version-check", *words, *environment.packages)
    if environment.over:
        behind = [str(_packages_of(name, folder.parent)) for name in environment.over]
        (_packages_in(folder) / "behind.pth").write_text("\n".join(behind) + "\n", "utf-8")


def _packages_of(name: str, envs: Path) -> Path:
    if name == PROJECT:
        return Path(sysconfig.get_path("purelib"))
    return _packages_in(OPTIMUM.home() if name == OPTIMUM.name else envs / name)


def _packages_in(folder: Path) -> Path:
    return folder.absolute() / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"


def _run(*words: str) -> None:
    subprocess.run(words, capture_output=True, text=True, check=True)
