"""What the engine notifies of, after each commit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import asyncpg

from engine.hints import Hint
from engine.notifier import CHANNEL


class Hints:
    """Lets one wait until a command has been decided."""

    def __init__(self) -> None:
        self._decided: dict[int, int] = {}
        self._heard = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def of(cls, database_url: str) -> AsyncIterator[Self]:
        """Listens until the block ends."""
        connection = await asyncpg.connect(database_url)
        try:
            hints = cls()
            await connection.add_listener(CHANNEL, hints.hear)
            yield hints
        finally:
            await connection.close()

    def hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        hint = Hint.from_text(str(payload))
        self._decided[hint.shard] = hint.next_offset
        self._heard.set()

    async def wait(self, shard: int, offset: int) -> None:
        """Return when the command at this place has been decided and committed."""
        while self._decided.get(shard, 0) <= offset:
            self._heard.clear()
            await self._heard.wait()
