"""How a command ends: well, with an error in plain words, or taken back because it was interrupted."""

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from rich.console import Console

# How Typer exits when it is interrupted, and the shell's own number for it.
INTERRUPTED = 130
# The error trees that are foreseen, by module. Importing all of them only to catch them would be slow.
FORESEEN = (
    ("build.errors", "BuildError"),
    ("contracts.manifest", "BrokenArtefact"),
    ("contracts.models_toml", "ConfigError"),
    ("local.errors", "LocalError"),
    ("stacks.costs", "UnknownInstance"),
    ("turnout.calling", "CallError"),
    ("turnout.inspecting", "CannotInspect"),
    ("turnout.keys", "KeysError"),
    ("turnout.laptop", "DeployFailed"),
    ("turnout.verifying", "NothingToVerify"),
    ("turnout.viewer", "NoNetron"),
)


def exit_with_message(run: Callable[[], object], log: Console) -> None:
    """Run a command; an error we foresaw exits with 1, an interrupt or a request to end with 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run()
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != INTERRUPTED:
            raise
        log.print("interrupted; nothing half-made was left behind")
        sys.exit(INTERRUPTED)
    except OSError as error:  # of a file or folder, where it names one
        if error.filename is None:
            raise
        _fail(
            log, error, f"{error.filename}: {error.strerror}; see that it is there, and whose it is"
        )
    except Exception as error:
        if not isinstance(error, _foreseen()):
            raise
        _fail(log, error, str(error))


def _fail(log: Console, error: Exception, told: str) -> NoReturn:
    log.print(f"[bold red]error[/] {type(error).__name__}", highlight=False)
    log.print(told, markup=False, soft_wrap=True)
    sys.exit(1)


def _foreseen() -> tuple[type[Exception], ...]:
    """Those of what has been imported by now."""
    return tuple(
        getattr(sys.modules[module], name) for module, name in FORESEEN if module in sys.modules
    )
