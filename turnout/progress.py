"""How long work is shown: one live line on a terminal, one line per step in a log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

Say = Callable[[str], None]


@contextmanager
def status(console: Console, what: str) -> Iterator[Say]:
    """A function that shows the latest step until the block ends."""
    if not console.is_terminal:
        console.print(what, markup=False, soft_wrap=True)
        yield lambda line: console.print(f"  {line}", markup=False, soft_wrap=True)
        return
    with console.status(what) as status:
        yield lambda line: status.update(
            f"{what}  [dim]{escape(line[: max(20, console.width - 40)])}[/]"
        )
