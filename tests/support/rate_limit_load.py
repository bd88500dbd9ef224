"""A process that asks a rate limit as fast as it can, and tells how often it was let through."""

import time
from ctypes import c_int64
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any

from api.access.rate_limits import RateLimits

_SPAWNING = get_context("spawn")


class AskingProcess:
    """Asks for one key until a moment of the monotonic clock. What it counts outlives it."""

    def __init__(self, path: str, client_id: str, per_second: int) -> None:
        self._admitted: Any = _SPAWNING.RawValue(c_int64, 0)
        self._asked: Any = _SPAWNING.RawValue(c_int64, 0)
        self._until: Any = _SPAWNING.RawValue(c_int64, 0)
        self.process: BaseProcess = _SPAWNING.Process(
            target=_ask,
            args=(path, client_id, per_second, self._admitted, self._asked, self._until),
            daemon=True,
        )

    @property
    def admitted(self) -> int:
        return int(self._admitted.value)

    @property
    def asked(self) -> int:
        return int(self._asked.value)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def go(self, until_ns: int) -> None:
        self._until.value = until_ns


def _ask(
    path: str, client_id: str, per_second: int, admitted: Any, asked: Any, until: Any
) -> None:
    limits = RateLimits(path)
    asked.value = 1
    while until.value == 0:
        time.sleep(0.001)
    while time.monotonic_ns() < until.value:
        asked.value += 1
        admitted.value += limits.admits(client_id, per_second)


def _ask_at_once(path: str, per_second: int, start: Any, admitted: Any) -> None:
    limits = RateLimits(path, lambda: 0)
    start.wait()
    while limits.admits("key", per_second):
        admitted.value += 1


def admitted_at_one_moment(path: str, processes: int, per_second: int) -> int:
    """How often so many processes together are let through while their clock stands."""
    start = _SPAWNING.Barrier(processes)
    counts = [_SPAWNING.RawValue(c_int64, 0) for _ in range(processes)]
    running = [
        _SPAWNING.Process(target=_ask_at_once, args=(path, per_second, start, count), daemon=True)
        for count in counts
    ]
    for each in running:
        each.start()
    for each in running:
        each.join()
    return sum(count.value for count in counts)
