"""Listening: notifications of the database, heard on one connection of the process.

    listener = Listener(database_url)
    listener.subscribe({"wallet_models": look}, begun=look)
    group.create_task(listener.run())

Every one of them is a hint only. Nobody tells what came before, or while the connection was away.
One connection is enough for everybody: PostgreSQL wakes each session that listens, whatever for.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import asyncpg

from engine.database import DATABASE_FAILURES

_TIMEOUT_S: Final = 10.0
_RECONNECT_DELAY_S_MIN: Final = 0.1
_RECONNECT_DELAY_S_MAX: Final = 2.0
_SESSION: Final = {"application_name": "wallet-api-listener"}

_log = logging.getLogger(__name__)


class _Subscriber(NamedTuple):
    hear: Mapping[str, Callable[[str], None]]
    begun: Callable[[], None]
    ended: Callable[[], None]


def _nothing() -> None:
    return


class Listener:
    """Passes the payloads of notifications on to those who have subscribed to their channel."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._subscribers: list[_Subscriber] = []

    def subscribe(
        self,
        hear: Mapping[str, Callable[[str], None]],
        *,
        begun: Callable[[], None],
        ended: Callable[[], None] = _nothing,
    ) -> None:
        """Hear these channels from the next connection on; call it before `run`.

        `begun` is called whenever hearing begins, `ended` when it ends.
        """
        self._subscribers.append(_Subscriber(hear, begun, ended))

    async def run(self) -> None:
        """Listen, on a connection that is made anew when it breaks, until cancelled."""
        delay_s = _RECONNECT_DELAY_S_MIN
        while True:
            try:
                async with self._listening() as lost:
                    delay_s = _RECONNECT_DELAY_S_MIN
                    await lost.wait()
            except DATABASE_FAILURES as error:
                _log.warning(
                    "Notifications can't be heard (%s: %s): whoever waits looks from time to time,"
                    " and every request looks its key up; trying again",
                    type(error).__name__,
                    error,
                )
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _RECONNECT_DELAY_S_MAX)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[asyncio.Event]:
        lost = asyncio.Event()
        connection = await asyncpg.connect(
            self._database_url,
            timeout=_TIMEOUT_S,
            command_timeout=_TIMEOUT_S,
            server_settings=_SESSION,
        )
        try:
            connection.add_termination_listener(lambda _: lost.set())
            channels = {channel: None for each in self._subscribers for channel in each.hear}
            for channel in channels:
                await connection.add_listener(channel, self._pass_on)
            for each in self._subscribers:
                each.begun()
            try:
                yield lost
            finally:
                for each in self._subscribers:
                    each.ended()
        finally:
            connection.terminate()

    def _pass_on(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        for each in self._subscribers:
            if (hear := each.hear.get(channel)) is not None:
                hear(str(payload))
