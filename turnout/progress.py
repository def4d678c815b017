"""Progress of work on a terminal (one live line) and in a log (one line for each step)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

Say = Callable[[str], None]


@contextmanager
def status(console: Console, title: str) -> Iterator[Say]:
    """Yield a function that shows the latest step until the block ends; a log keeps every step."""
    with steps(console, title) as (step, detail):
        yield detail if console.is_terminal else step


@contextmanager
def steps(console: Console, title: str) -> Iterator[tuple[Say, Say]]:
    """Yield two functions: one prints a step, the other shows a detail of it on a terminal until the next one."""

    def step(line: str) -> None:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)

    if not console.is_terminal:
        console.print(title, markup=False, soft_wrap=True)
        yield step, lambda line: None
        return
    with console.status(title) as live:
        # What does not fit beside the title would wrap and make the live line jump.
        width = max(20, console.width - 40)
        yield step, lambda line: live.update(f"{title}  [dim]{escape(line[:width])}[/]")
