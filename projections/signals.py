"""Hints between processes: the read models have moved on, somebody waits for them to.

A hint that is lost costs only time, since everybody looks by themselves from time to time.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncpg

MODELS_CHANNEL: Final = "wallet_models"
"""Its payload is the number of a shard that a read model has taken entries in from."""

READERS_CHANNEL: Final = "wallet_readers"
"""Somebody waits for what the read models lack."""

_POLL_S: Final = 0.25


class Signals:
    """Hears of readers and tells of the models, on a connection of its own.

    NOTIFY stands in no transaction that changes a model: all of them would wait for its lock.
    """

    def __init__(self, on_reader_waits: Callable[[], None]) -> None:
        self._on_reader_waits = on_reader_waits
        self._shards: set[int] = set()
        self._wake = asyncio.Event()

    def model_moved(self, shard: int) -> None:
        """Have it told soon."""
        self._shards.add(shard)
        self._wake.set()

    async def run(self, connection: asyncpg.Connection, stop: asyncio.Event) -> None:
        """Hear and tell until `stop` is set."""
        # NOTIFY draws a transaction id, and a hint need not wait for the disk
        await connection.execute("SET synchronous_commit = off")
        await connection.add_listener(READERS_CHANNEL, lambda *_: self._on_reader_waits())
        # nobody told us of those who came before
        self._on_reader_waits()
        while not stop.is_set():
            try:
                # not wait_for: up to Python 3.11 it can swallow a cancellation, and then whoever
                # waits for the end of this waits for ever
                async with asyncio.timeout(_POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()
            shards, self._shards = self._shards, set()
            await connection.execute(
                "SELECT pg_notify($1, shard::text) FROM unnest($2::integer[]) AS shard",
                MODELS_CHANNEL,
                sorted(shards),
            )
