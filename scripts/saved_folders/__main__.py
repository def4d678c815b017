"""Make the folders of tests/saved_folders: tiny models as four releases of transformers save them.

`python -m scripts.saved_folders` makes an environment for each release under .turnout/saving, and lets that release
save each model and tokenizer that it knows. Only what differs between releases is installed there; all else, torch
above all, is found in .venv. Weights are random, from a seed, and spread so that texts are told apart.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ROOT / "tests/saved_folders"
SAVE = Path(__file__).with_name("save.py")
# Each release with the releases of tokenizers and huggingface-hub that it was used with; the last is .venv's own.
RELEASES = {
    "4.30.2": ("tokenizers==0.13.3", "huggingface-hub==0.16.4"),
    "4.40.2": ("tokenizers==0.19.1", "huggingface-hub==0.23.4"),
    "4.57.6": ("tokenizers==0.22.2", "huggingface-hub==0.36.2"),
    "5.24.0": (),
}


def main() -> None:
    """Make every folder anew."""
    for release, others in RELEASES.items():
        python = _environment(release, others) if others else Path(sys.executable)
        destination = FOLDERS / release
        shutil.rmtree(destination, ignore_errors=True)
        destination.mkdir(parents=True)
        # -I leaves out this checkout, none of which an old release could import.
        subprocess.run([python, "-I", SAVE, destination], check=True, cwd=destination)
        print(release, *sorted(path.name for path in destination.iterdir()))


def _environment(release: str, others: tuple[str, ...]) -> Path:
    place, uv = ROOT / ".turnout/saving" / release, ROOT / ".venv/bin/uv"
    python = place / "bin/python"
    subprocess.run(
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, place], check=True
    )
    packages = (f"transformers=={release}", *others)
    install = [str(uv), "pip", "install", "--quiet", "--no-deps", "--python", str(python)]
    subprocess.run([*install, *packages], check=True)
    ours, theirs = (
        subprocess.run(
            [interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for interpreter in (sys.executable, python)
    )
    Path(theirs, "shared.pth").write_text(f"{ours}\n", "utf-8")
    return python


if __name__ == "__main__":
    main()
