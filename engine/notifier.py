"""Tells listeners that a shard has moved on: after the commit, on a connection of its own.

A NOTIFY inside the append would make all commits wait for one lock. What is lost here is only a
hint; listeners look by themselves from time to time.
"""

import asyncio
import logging

import asyncpg

from engine.batch import Batch
from engine.database import DATABASE_FAILURES
from engine.hints import Hint
from engine.settings import Settings

logger = logging.getLogger(__name__)

CHANNEL = "wallet_shards"
_BACK_OFF_S = 1.0
_HINTS_MAX = 8


class Notifier:
    """Sends a hint for each batch, or only for the latest one of a shard if they come quickly."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._moved: dict[int, list[Hint]] = {}
        self._wake = asyncio.Event()

    def moved(self, shard: int, batch: Batch) -> None:
        hint = Hint.of(shard, batch)
        hints = self._moved.setdefault(shard, [])
        if not hint.outcomes or len(hints) >= _HINTS_MAX:
            # it says how far the shard is, which is all that those before it can be missed for
            hints.clear()
        hints.append(hint)
        self._wake.set()

    async def run(self) -> None:
        """Notify until cancelled; hints that cannot be sent are dropped."""
        while True:
            try:
                await self._notify()
            except DATABASE_FAILURES as error:
                logger.info("notifier: %r; again in %.0f s", error, _BACK_OFF_S)
                await asyncio.sleep(_BACK_OFF_S)

    async def _notify(self) -> None:
        connection = await asyncpg.connect(
            self._settings.database_url,
            timeout=self._settings.database_timeout_ms / 1000,
            command_timeout=self._settings.database_timeout_ms / 1000,
            server_settings={
                "application_name": "wallet-engine notify",
                # NOTIFY draws a transaction id, and a hint need not wait for the disk
                "synchronous_commit": "off",
            },
        )
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                moved, self._moved = self._moved, {}
                payloads = [hint.to_text() for hints in moved.values() for hint in hints]
                await connection.execute(
                    "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload",
                    CHANNEL,
                    payloads,
                )
        finally:
            connection.terminate()
