"""An event loop on virtual time: nothing waits, and the order of everything comes from a seed.

The callbacks of a simulated process are told apart by a context variable, which tasks inherit;
so a process can be held, or dropped between any two of its steps, without its knowing.
"""

import asyncio
import logging
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from random import Random
from typing import Any, Final

logger = logging.getLogger(__name__)

_PROCESS: Final[ContextVar["Process | None"]] = ContextVar("simulated_process", default=None)
_process_of: Final = Context.get
_TASKS_KEPT: Final = 500


def current_process() -> "Process | None":
    """The process that is running; None for what belongs to the world itself."""
    return _PROCESS.get()


class DeadlockError(AssertionError):
    """Nothing is left to run, and what is waited for has not come."""


class Process:
    """A process of the simulated world: all that was started by `run`, and by that in turn."""

    def __init__(self, name: str, loop: "VirtualLoop") -> None:
        self.name = name
        self.dead = False
        self.paused = False
        self.still = False
        """Whether it is dead or paused."""
        self.pauses = 0
        self.skew_s = 0.0
        self.leaving = asyncio.Event()
        self.steps = 0
        self.alarm_step = -1
        self.alarm: Callable[[], None] = _nothing
        self.on_death: Callable[[], None] = _nothing
        self._loop = loop
        self._held: list[_Handle] = []
        self._context = copy_context()
        self._context.run(_PROCESS.set, self)

    def run(self, work: Coroutine[Any, Any, Any]) -> "SimulatedTask":
        """Start its main task, which is not to end with an error."""
        task = self._loop.create_task(work, context=self._context.copy())
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.fail(error)

    def before_step(self, steps: int, befall: Callable[[], None]) -> None:
        """Have something happen to it before its step `steps` from here, 1 being the next."""
        self.alarm_step = self.steps + steps
        self.alarm = befall

    def kill(self) -> None:
        """End it as SIGKILL does: nothing of it ever runs again, no `finally` either."""
        if not self.dead:
            self.dead = self.still = True
            self._held.clear()
            self.on_death()

    def leave(self) -> None:
        """Ask it to end by itself."""
        self._loop.call_soon(self.leaving.set)

    def end(self) -> None:
        """It has come to its end: what it has left undone stays so."""
        self._loop.call_soon(self.kill, context=Context())

    def pause(self) -> None:
        self.paused = self.still = True
        self.pauses += 1

    def resume(self) -> None:
        self.paused, self.still = False, self.dead
        held, self._held = self._held, []
        self._loop._ready.extend(held)

    def steps_on(self, handle: "_Handle") -> bool:
        """Whether it takes this step now."""
        if not self.still:
            self.steps += 1
            if self.steps != self.alarm_step:
                return True
            self.alarm()
        if self.paused:
            self._held.append(handle)
        return not self.still


def _nothing() -> None:
    return


class SimulatedTask(asyncio.Task):  # type: ignore[type-arg]
    """A task whose place in a set does not come from its address."""

    def __init__(self, coro: Any, *, number: int, **options: Any) -> None:
        self.number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class _Handle:
    __slots__ = ("args", "callback", "context", "process")

    def __init__(self, callback: Any, args: tuple[Any, ...], context: Context) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.process: Process | None = _process_of(context, _PROCESS)

    def cancel(self) -> None:
        self.callback = None

    def cancelled(self) -> bool:
        return self.callback is None


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs what is ready, and moves time on when nothing is."""

    def __init__(self, source: Random, shuffled: float = 0.0) -> None:
        self._source = source
        self._shuffled = shuffled
        self.now = 0.0
        """As `time()`, without a call."""
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._scheduled = 0
        self._tasks_made = 0
        self._closed = False
        self._running = False
        self._failure: BaseException | None = None
        # those of dead processes as well: let go of, they would run what is left of them
        self._tasks: list[SimulatedTask] = []
        self._tasks_max = _TASKS_KEPT
        self.callbacks = 0
        self.unhandled: list[dict[str, Any]] = []

    def time(self) -> float:
        return self.now

    def fail(self, failure: BaseException) -> None:
        """End the run with this, whatever the code that is running makes of it."""
        if self._failure is None:
            self._failure = failure

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> _Handle:
        handle = _Handle(callback, args, copy_context() if context is None else context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> _Handle:
        handle = _Handle(callback, args, copy_context() if context is None else context)
        self._scheduled += 1
        heappush(self._timers, (self.now + delay, self._scheduled, handle))
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> _Handle:
        handle = _Handle(callback, args, copy_context() if context is None else context)
        self._scheduled += 1
        heappush(self._timers, (when, self._scheduled, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None
    ) -> SimulatedTask:
        self._tasks_made = number = self._tasks_made + 1
        task = SimulatedTask(
            coro, number=number, loop=self, name=name or f"Task-{number}", context=context
        )
        self._tasks.append(task)
        if len(self._tasks) > self._tasks_max:
            self._tasks = [each for each in self._tasks if not each.done()]
            self._tasks_max = 2 * len(self._tasks) + _TASKS_KEPT
        return task

    def run_until_complete(self, future: Any) -> Any:
        main = self.create_task(future)
        if events._get_running_loop() is not None:
            raise RuntimeError("another event loop is running")
        events._set_running_loop(self)
        self._running = True
        try:
            self._run(main)
        finally:
            self._running = False
            events._set_running_loop(None)
        return main.result()

    def _run(self, main: SimulatedTask) -> None:
        ready, timers = self._ready, self._timers
        shuffled, random = self._shuffled, self._source.random
        while not main.done():
            if not ready:
                self._move_on(timers, ready)
            elif shuffled and len(ready) > 1 and random() < shuffled:
                ready.rotate(-int(random() * len(ready)))
            handle = ready.popleft()
            callback, process = handle.callback, handle.process
            if callback is None:
                continue
            if process is not None:
                if process.still or process.steps + 1 == process.alarm_step:
                    if not process.steps_on(handle):
                        continue
                else:
                    process.steps += 1
            self.callbacks += 1
            handle.context.run(callback, *handle.args)
            if self._failure is not None:
                raise self._failure

    def _move_on(self, timers: list[tuple[float, int, _Handle]], ready: "deque[_Handle]") -> None:
        while timers:
            when, _, handle = heappop(timers)
            if handle.callback is None:
                continue
            if when > self.now:
                self.now = when
            ready.append(handle)
            if not timers or timers[0][0] > when:
                return
        if not ready:
            raise DeadlockError("nothing is left to run, and the run has not ended")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.unhandled.append(context)
        logger.debug("unhandled: %s", context.get("message"), exc_info=context.get("exception"))

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Let go of all that was still under way, without a word of it."""
        self._closed = True
        self._ready.clear()
        self._timers.clear()
        # what is closed may start something that closes what it holds, and that is closed as well
        events._set_running_loop(self)
        try:
            while self._tasks:
                task = self._tasks.pop()
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    _close(task)
        finally:
            events._set_running_loop(None)


def _close(task: SimulatedTask) -> None:
    """End a coroutine that nothing will wake; what it would still await is passed over."""
    coroutine = task.get_coro()
    for _ in range(100):
        try:
            coroutine.close()
        except BaseException:  # noqa: BLE001 whatever its `finally` does now is of no effect
            continue
        return
