"""What the demo says while it works: steps, lines with the time they took, and bars."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.output import err, flush, say

_SAID_EVERY_S: Final = 2.0

Update = Callable[[int], None]


class Narration:
    """Lines on standard output, bars on a terminal's standard error."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._begun

    def step(self, number: int, title: str) -> None:
        """The heading of one of the five steps."""
        say(f"\n{number}. {title}\n")
        flush()

    def tell(self, text: str) -> None:
        """One line, after the seconds since the start."""
        say(f"  {self.elapsed_s:5.1f} s  {text}")
        flush()

    @contextmanager
    def bar(self, doing: str, total: int) -> Iterator[Update]:
        """A bar to be moved to a count; where there is no terminal, a line now and then."""
        console = err()
        if not console.is_terminal:
            yield _Lines(self, doing, total).update
            return
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(doing, total=total)
            yield lambda done: progress.update(task, completed=done)


class _Lines:
    def __init__(self, narration: Narration, doing: str, total: int) -> None:
        self._narration = narration
        self._doing = doing
        self._total = total
        self._said_at_s = narration.elapsed_s

    def update(self, done: int) -> None:
        now_s = self._narration.elapsed_s
        if now_s - self._said_at_s >= _SAID_EVERY_S:
            self._said_at_s = now_s
            self._narration.tell(f"{self._doing}: {done:,} of {self._total:,}")
