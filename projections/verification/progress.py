"""How far verification has come."""

from collections.abc import Callable

from msgspec import Struct


class Progress(Struct, frozen=True):
    """`done` of `total` things of one stage have been looked at; `total` is what is known so far."""

    stage: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def counter(on_progress: OnProgress, stage: str, total: int) -> Callable[[int], None]:
    """To be told how many more things were looked at in this stage."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        on_progress(Progress(stage, done, max(total, done)))

    count(0)
    return count
