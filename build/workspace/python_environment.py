"""A Python environment of its own, for a tool that wants other versions of packages than the build; run step by step.

Nothing of ours is imported there: a script is run by the environment's interpreter, and its last line of standard error
is its problem.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from build.workspace.checkout import ROOT
from build.workspace.isolated_process import isolated


class StepFailed(Exception):
    """A step failed; the message is the last line of its standard error."""


def run_isolated(
    command: Sequence[object], variables: Mapping[str, str], cwd: Path | None = None
) -> None:
    """Run a command to its end, without a network and without credentials; raise StepFailed.

    `variables` are added to the environment; `cwd` is the working folder.
    """
    done = subprocess.run(
        isolated(map(str, command), **variables),
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        ended = f"its process was ended by {-done.returncode}: " if done.returncode < 0 else ""
        raise StepFailed(ended + last)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonEnvironment:
    """An environment in the checkout's `.turnout/NAME`, or in the folder that the environment variable names.

    `packages` are the folder names of the distributions whose versions decide a graph's bytes, by their names in a
    manifest. `settings` are environment variables of its processes, which have neither a network nor credentials.
    """

    name: str
    variable: str
    packages: Mapping[str, str]
    settings: Mapping[str, str]

    def home(self) -> Path:
        """Return the folder of the environment, whether it is installed or not."""
        return Path(os.environ.get(self.variable) or ROOT / ".turnout" / self.name)

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages; empty if the environment is incomplete."""
        # From folder names: starting the environment's Python would take longer than the rest of a plan.
        home, installed = self.home(), {}
        for name, distribution in self.packages.items():
            folders = sorted(home.glob(f"lib/python*/site-packages/{distribution}-*.dist-info"))
            if not folders or not (home / "bin/python").exists():
                return {}
            installed[name] = folders[-1].name.removesuffix(".dist-info").split("-")[1]
        return installed

    def run(self, script: Path, *arguments: object) -> None:
        """Run the script to its end; raise StepFailed."""
        # -I leaves out the script's own folder, whose modules would shadow installed ones, and the user's packages.
        command = [self.home() / "bin/python", "-I", script, *arguments]
        run_isolated(command, self.settings)
