"""Runs many seeds on all cores, and tells how it goes."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from types import FrameType

from tests.simulation.plan import Plan
from tests.simulation.runs import Outcome, run

_TELL_EVERY_S = 1.0
_SEEDS_AT_ONCE = 4
_SEEDS_OF_A_PROCESS = 40
_ORPHAN_S = 1.0


class _EndedError(Exception):
    """Somebody wants the campaign to end."""


class Tally:
    """What has been run so far."""

    def __init__(self) -> None:
        self.seeds = 0
        self.commands = 0
        self.faults: Counter[str] = Counter()
        self.failed: list[Outcome] = []
        self._began = time.monotonic()
        self._told = 0.0

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.commands += outcome.commands
        self.faults.update(outcome.faults)
        if outcome.kind is not None:
            self.failed.append(outcome)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def line(self) -> str:
        """One line that says how far and how fast."""
        seconds = max(self.elapsed_s, 0.001)
        faults = ", ".join(f"{kind} {number:,}" for kind, number in sorted(self.faults.items()))
        return (
            f"{self.seeds:,} seeds ({self.seeds / seconds:.1f}/s), {self.commands:,} commands"
            f" ({self.commands / seconds:,.0f}/s), {len(self.failed)} failed; faults: {faults}"
        )

    def tell(self) -> None:
        """Rewrite the line on a terminal; elsewhere print one now and then."""
        every_s = _TELL_EVERY_S if sys.stderr.isatty() else 20 * _TELL_EVERY_S
        if self.elapsed_s - self._told >= every_s:
            self._told = self.elapsed_s
            end = "\r" if sys.stderr.isatty() else "\n"
            print(self.line(), end=end, file=sys.stderr, flush=True)


def run_seed(seed: int, without: str | None = None) -> Outcome:
    """Run the plan of a seed."""
    return run(Plan.draw(seed), without=without)


def outcomes(
    seeds: Iterable[int], *, without: str | None = None, processes: int | None = None
) -> Iterator[Outcome]:
    """Run seeds on all cores (or in this process, if `processes` is 1), as they come to an end."""
    work = partial(run_seed, without=without)
    if processes == 1:
        yield from map(work, seeds)
        return
    # forked: each has the same hash seed, without which sets have another order
    context = multiprocessing.get_context("fork")
    with context.Pool(
        processes,
        initializer=_begin,
        initargs=(os.getpid(),),
        maxtasksperchild=_SEEDS_OF_A_PROCESS // _SEEDS_AT_ONCE,
    ) as pool:
        yield from pool.imap(work, seeds, chunksize=_SEEDS_AT_ONCE)


def _begin(parent: int) -> None:
    """What a process does before its seeds: it ends before there is much garbage to collect."""
    gc.freeze()
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_ORPHAN_S)
    os._exit(1)


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Raises _EndedError when the process is told to end, also where a shell has it ignore that."""

    def end(_: int, __: FrameType | None) -> None:
        raise _EndedError

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _EndedError:
        return
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def campaign(
    seeds: Iterable[int], *, minutes: float | None, processes: int | None, failures_max: int
) -> Tally:
    """Run seeds until there are no more, the time is up, enough have failed, or a signal comes."""
    tally = Tally()
    with _ending_on_signals():
        for outcome in outcomes(seeds, processes=processes):
            tally.add(outcome)
            if outcome.kind is not None:
                print(told(outcome), flush=True)
            tally.tell()
            if minutes is not None and tally.elapsed_s > 60 * minutes:
                break
            if len(tally.failed) >= failures_max:
                break
    return tally


def told(outcome: Outcome, without: str | None = None) -> str:
    """A failed run, and the one command that does it again."""
    option = f" --without {without}" if without else ""
    return (
        f"seed {outcome.seed}: {outcome.kind}: {outcome.text}\n"
        f"    again: python -m tests.simulation --seed {outcome.seed}{option}"
    )


def seeds_from(start: int) -> Iterator[int]:
    """So many that only time ends them."""
    return iter(count(start))
