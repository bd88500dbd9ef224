"""Something that happens while a coroutine waits for the nth time."""

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any


class Interrupted:
    """Runs `work`, and calls `interrupt` when it waits for the nth time, from 1 on."""

    def __init__(
        self, work: Coroutine[Any, Any, None], nth: int, interrupt: Callable[[], object]
    ) -> None:
        self._work = work
        self._nth = nth
        self._interrupt = interrupt
        self.waits = 0

    async def run(self) -> None:
        await self._drive()

    @coroutine
    def _drive(self) -> Generator[Any, Any, None]:
        step: Callable[[], Any] = partial(self._work.send, None)
        while True:
            try:
                waits_for = step()
            except StopIteration:
                return
            self.waits += 1
            if self.waits == self._nth:
                self._interrupt()
            try:
                step = partial(self._work.send, (yield waits_for))
            except BaseException as error:  # noqa: BLE001  # a cancellation is for `work` as well
                step = partial(self._work.throw, error)
