"""`wallet projector`: keeps the live read models up with the log, as many processes as wanted.

One task fills all models, two shards at a time, on a connection each. What breaks one connection ends
all of them, and they are made anew until the database is back.
"""

import asyncio
import logging
import signal
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, Final

import uvloop

from engine.settings import Settings
from projections.follower import Follower
from projections.models import PROJECTIONS
from projections.observation import NOBODY, Observer
from projections.observing import observing
from projections.session import AWAY, connected
from projections.signals import Signals

logger = logging.getLogger(__name__)

_BACK_OFF_S_MIN: Final = 0.1
_BACK_OFF_S_MAX: Final = 5.0


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; what is being taken in then is finished first.

    Raises NotInstalledError if the database has not been migrated, DatabaseRefusedError if it
    does not let this process in.
    """
    uvloop.run(_run_until_signal(settings))


async def _run_until_signal(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with observing(settings) as observer:
        await keep_up(settings, stop, observer)


async def keep_up(settings: Settings, stop: asyncio.Event, observer: Observer = NOBODY) -> None:
    """As `run`, until `stop` is set."""
    outage = _Outage()
    while not stop.is_set():
        try:
            await _work(settings, stop, outage, observer)
        except AWAY as error:
            await outage.wait(error, stop)


async def _work(
    settings: Settings, stop: asyncio.Event, outage: "_Outage", observer: Observer
) -> None:
    follower = Follower(PROJECTIONS.values(), stop, observer)
    signals = Signals(follower.hurry)
    connect = partial(connected, settings.database_url, timeout_ms=settings.database_timeout_ms)
    # rows and checkpoint are lost together, and taken in again; the engine needs the disk more
    fill = partial(connect, "wallet-projector", waits_for_disk=False)

    async def tell_and_hear() -> None:
        async with connect("wallet-projector signals") as connection:
            await signals.run(connection, stop)

    async def follow() -> None:
        async with fill() as one, fill() as another:
            await follower.run(
                (one, another), on_looked=outage.is_over, on_moved=signals.model_moved
            )

    await _until_first_error([tell_and_hear(), follow()])


async def _until_first_error(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Outage:
    """Says once that the database is away, and once that it is back; waits longer each time."""

    def __init__(self) -> None:
        self._on = False
        self._back_off_s = _BACK_OFF_S_MIN

    async def wait(self, error: BaseException, stop: asyncio.Event) -> None:
        if not self._on:
            self._on = True
            logger.warning(
                "the database is away (%s: %s); trying again until it is back",
                type(error).__name__,
                error,
            )
        back_off_s = self._back_off_s
        self._back_off_s = min(2 * back_off_s, _BACK_OFF_S_MAX)
        try:
            async with asyncio.timeout(back_off_s):
                await stop.wait()
        except TimeoutError:
            return

    def is_over(self) -> None:
        if self._on:
            logger.warning("the database is back")
        self._on = False
        self._back_off_s = _BACK_OFF_S_MIN
