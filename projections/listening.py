"""Listening: notifications of the database, heard on one connection.

Every one of them is a hint only. Nobody tells what came before, or while a connection was away.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

_TIMEOUT_S: Final = 10.0


@asynccontextmanager
async def listening(
    database_url: str,
    session: Mapping[str, str],
    hear: Mapping[str, Callable[[str], None]],
    lost: Callable[[], None],
    *,
    timeout_s: float = _TIMEOUT_S,
) -> AsyncIterator[asyncpg.Connection]:
    """A connection with these session settings, on which `hear` gets the payloads of its channels.

    `lost` is called when it breaks. `timeout_s` is for connecting, and for each statement.
    """
    connection = await asyncpg.connect(
        database_url,
        timeout=timeout_s,
        command_timeout=timeout_s,
        server_settings=dict(session),
    )

    def pass_on(_connection: Any, _pid: int, channel: str, payload: object) -> None:
        hear[channel](str(payload))

    try:
        connection.add_termination_listener(lambda _: lost())
        for channel in hear:
            await connection.add_listener(channel, pass_on)
        yield connection
    finally:
        connection.terminate()
