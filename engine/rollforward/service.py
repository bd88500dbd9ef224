"""The whole of rolling forward, over one connection and one client of Kafka."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from engine.fit import register_topology
from engine.inspection import TopicInspector
from engine.log import ShardLog, ShardRow
from engine.rollforward.engines import refuse_beside_engines
from engine.rollforward.errors import RollForwardError
from engine.rollforward.examination import Examination, OnProgress, ShardPlan
from engine.rollforward.forwarding import Forwarding
from engine.rollforward.restored_log import shard_rows
from engine.rollforward.topic_reader import TopicReader
from engine.settings import Settings

_SESSION: Final = {
    "application_name": "wallet-engine roll-forward",
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",
    "jit": "off",
}


class RollForward:
    """Examines shards, and rolls them forward."""

    def __init__(
        self, settings: Settings, connection: asyncpg.Connection, reader: TopicReader
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._reader = reader

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: Settings) -> AsyncIterator["RollForward"]:
        """Check that topics and database belong together, as an engine does at its start.

        Raises SetupError, and what asyncpg and aiokafka raise for what they can't reach.
        """
        connection = await asyncpg.connect(
            settings.database_url,
            timeout=settings.database_timeout_ms / 1000,
            server_settings=_SESSION,
        )
        try:
            await register_topology(settings)
            async with TopicReader.connect(settings) as reader:
                yield cls(settings, connection, reader)
        finally:
            connection.terminate()

    async def examine(
        self, shards: Sequence[int] | None, on_progress: OnProgress
    ) -> list[ShardPlan]:
        """A plan for each of these shards, or for all; nothing is written.

        Raises EnginesRunningError, and RollForwardError with all that is in the way of any shard.
        """
        await refuse_beside_engines(self._settings, self._connection)
        rows = await shard_rows(self._connection)
        inspector = TopicInspector(self._settings)
        examination = Examination(
            self._settings, self._connection, self._reader, inspector, on_progress
        )
        try:
            return await _examine_all(examination, _chosen(rows, shards))
        finally:
            await inspector.close()

    async def roll_forward(self, plan: ShardPlan, on_progress: OnProgress) -> None:
        """Append what the plan says; raises RollForwardError if that has become impossible."""
        log = await ShardLog.connect(plan.shard, self._settings)
        try:
            forwarding = Forwarding(self._settings, self._connection, log, plan, on_progress)
            await forwarding.run(self._reader)
        finally:
            log.close()


async def _examine_all(examination: Examination, rows: Sequence[ShardRow]) -> list[ShardPlan]:
    plans: list[ShardPlan] = []
    refused: list[RollForwardError] = []
    for row in rows:
        try:
            plans.append(await examination.shard(row))
        except RollForwardError as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        raise RollForwardError("\n".join(str(each) for each in refused))
    return plans


def _chosen(rows: Sequence[ShardRow], shards: Sequence[int] | None) -> list[ShardRow]:
    if shards is None:
        return list(rows)
    known = {row.shard for row in rows}
    if missing := sorted(set(shards) - known):
        raise RollForwardError(
            f"This database has no shard {missing[0]}: they are 0 to {max(known, default=0)}."
        )
    return [row for row in rows if row.shard in shards]
