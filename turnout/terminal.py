"""The parts that every command shares: its options, how its result is printed, and its end.

The end is success, an error as a message with its code, or an interrupt.
"""

import errno
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from contracts.errors import TurnoutError
from contracts.tasks import Tier

# The status that Typer exits with when it is interrupted, and the shell's own number for SIGINT.
INTERRUPTED = 130
# An error of the operating system about a file or a folder; every other code is an error's own.
FILE_INACCESSIBLE = "file_inaccessible"
DISK_FULL, FULL = "disk_full", (errno.ENOSPC, errno.EDQUOT)

Config = Annotated[Path, typer.Option("--config", "-c", help="The file that lists the models.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="The folder of built artefacts.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.")
]
KeysFile = Annotated[Path, typer.Option("--keys", help="The file of key hashes; safe to commit.")]
Url = Annotated[str | None, typer.Option(envvar="TURNOUT_URL", help="The endpoint.")]
Key = Annotated[str | None, typer.Option(envvar="TURNOUT_KEY", help="A key of `turnout keys`.")]
CaFile = Annotated[
    str | None, typer.Option("--cacert", help="Certificate authority of the endpoint.")
]
PinnedTier = Annotated[Tier | None, typer.Option(help="Pin a tier; otherwise the router chooses.")]
Concurrency = Annotated[
    int,
    typer.Option(
        help="Requests at once: what `deployment.concurrency` leaves to others.", min=1, max=64
    ),
]
CONFIG, OUT, KEYS = Path("models.toml"), Path("models.out"), Path("keys.toml")

# Results go to standard output and everything else to standard error, so that a pipe gets results alone.
log = Console(stderr=True, highlight=False)
# A pipe has no width; the tables of this program are whole at this one.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def emit(as_json: bool, document: object, show: Callable[[], None]) -> None:
    """Print a command's result: as JSON for programs, or drawn for people."""
    if as_json:
        # Escapes are JSON for every reader; a character that an encoding lacks would be an error here.
        plain = not sys.stdout.encoding.lower().startswith("utf")
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=plain, default=str) + "\n")
    else:
        show()


def usd(amount: float) -> str:
    """Return US dollars with cents where they count."""
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:,.2f}"


def exit_with_message(run: Callable[[], object], log: Console) -> None:
    """Run a command; exit with 1 on an error that users can mend, with 130 on an interrupt or SIGTERM.

    Every other exception is a defect of Turnout and keeps its stack trace.
    """
    # SIGTERM becomes a KeyboardInterrupt, so that everything is cleaned up on the same path as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run()
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != INTERRUPTED:
            raise
        log.print("interrupted; nothing half-made was left behind")
        sys.exit(INTERRUPTED)
    except TurnoutError as error:
        _fail(log, error.code, str(error))
    except OSError as error:
        if error.errno in FULL:
            where = error.filename or "a temporary file"
            _fail(
                log, DISK_FULL, f"{where}: {error.strerror}; free some on its disk, and try again"
            )
        if error.filename is None:  # about no file: nothing that a user could look at
            raise
        reason = f"{error.strerror} ({type(error).__name__})"
        next_step = "check that it exists and that you may read and write it"
        _fail(log, FILE_INACCESSIBLE, f"{error.filename}: {reason}; {next_step}")


def _fail(log: Console, code: str, message: str) -> NoReturn:
    """Print `error[code]: message`, the form in which compilers print theirs, and exit with 1."""
    # A Text, so that brackets in a message are no markup.
    line = Text.assemble(("error", "bold red"), (f"[{code}]", "dim"), ": ", message)
    log.print(line, soft_wrap=True, highlight=False)
    sys.exit(1)
