"""Engines as processes of their own, by the command that production uses."""

import time
from asyncio import sleep
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import asyncpg

from cli.processes import service_argv
from cli.stack import ManagedProcess, Stack
from engine.database import DATABASE_FAILURES
from engine.migrate import migrate
from engine.settings import Settings
from tests.support.databases import connection_to, fresh_database
from tests.support.ledger_audit import audit
from tests.support.load import Load
from tests.support.polling import poll
from tests.support.topics import TopicNames, create_topics
from tests.support.wallet_command import environment

PARTITIONS = 4
HANGS_S = 60.0
"""When something is taken to hang; on a busy machine an engine starts for half of that."""
_numbers = count()

_SETTLED = """
SELECT published = position AND NOT EXISTS (
           SELECT FROM dead_letters d WHERE d.shard = s.shard AND d.published_at IS NULL
       ) AND NOT EXISTS (SELECT FROM due WHERE due.shard = s.shard)
  FROM shards s
"""


@dataclass
class Deployment:
    """Topics and a database of one test, and the engines that were started on them."""

    stack: Stack
    settings: Settings
    engines: list[ManagedProcess] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def on(cls, stack: Stack, **changes: Any) -> AsyncIterator["Deployment"]:
        """Everything set up, no engine started; whatever was started is ended afterwards."""
        names = TopicNames.unique()
        async with fresh_database(stack.database_url) as database_url:
            settings = Settings(
                database_url=database_url,
                kafka_bootstrap=stack.kafka_bootstrap,
                **names.settings,
                partitions=PARTITIONS,
                session_timeout_ms=2_000,
                batch_commands_max=40,
            ).model_copy(update=changes)
            await migrate(database_url)
            await create_topics(stack.kafka_bootstrap, names, PARTITIONS)
            deployment = cls(stack, settings)
            try:
                yield deployment
            finally:
                for engine in deployment.engines:
                    await engine.kill()

    def start_engine(self) -> ManagedProcess:
        bounds = {
            "WALLET_BATCH_COMMANDS_MAX": str(self.settings.batch_commands_max),
            "WALLET_QUEUE_COMMANDS_MAX": str(self.settings.queue_commands_max),
        }
        engine = self.stack.spawn(
            f"engine-{next(_numbers)}",
            service_argv("engine"),
            env={**environment(self.settings), **bounds},
        )
        self.engines.append(engine)
        return engine

    def load(self, seed: int, **options: Any) -> Load:
        return Load(self.settings, partitions=PARTITIONS, seed=seed, **options)

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        async with connection_to(self.settings.database_url) as connection:
            return await connection.fetch(query, *arguments)

    async def until(self, query: str, *arguments: Any, timeout_s: float = HANGS_S) -> None:
        """Wait until each row of a query says true, through whatever outage there is."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                rows = await self.fetch(query, *arguments)
            except DATABASE_FAILURES as error:
                rows, away = [], error
            else:
                away = None
            if rows and all(row[0] for row in rows):
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"after {timeout_s} s not: {query} {away!r}\n{self.logs()}")
            await sleep(0.05)

    async def until_decided(self, count_min: int, timeout_s: float = HANGS_S) -> None:
        """Wait until at least so many records have been decided."""
        await self.until(
            "SELECT sum(next_offset) >= $1 FROM shards", count_min, timeout_s=timeout_s
        )

    async def until_owned_by(self, *engines: ManagedProcess, timeout_s: float = HANGS_S) -> None:
        """Wait until these engines, and no others, hold the shards."""
        pids = sorted(engine.pid for engine in engines)
        await self.until(
            "SELECT array_agg(DISTINCT split_part(owner, ':', 2)::bigint) = $1 FROM shards",
            pids,
            timeout_s=timeout_s,
        )

    async def until_logged(self, engine: ManagedProcess, words: str) -> None:
        """Wait until an engine has written these words to its log from now on."""
        before = engine.log_path.stat().st_size
        await poll(lambda: words.encode() in engine.log_path.read_bytes()[before:])

    async def check(self, load: Load, timeout_s: float = HANGS_S) -> None:
        """Wait until all is decided and published, and hold it against the journal."""
        for partition in range(PARTITIONS):
            sent = [place.offset for place in load.journal if place.partition == partition]
            await self.until(
                "SELECT next_offset > $2 FROM shards WHERE shard = $1",
                partition,
                max(sent, default=-1),
                timeout_s=timeout_s,
            )
        forwarded = (
            "SELECT count(*) = 0 FROM forwards f JOIN shards s ON s.shard = f.home"
            " WHERE s.next_offset <= f.home_offset"
        )
        await self.until(forwarded, timeout_s=timeout_s)
        await self.until(_SETTLED, timeout_s=timeout_s)
        try:
            outcomes = await audit(self.settings, load.journal, PARTITIONS)
        except AssertionError as error:
            raise AssertionError(f"seed {load.seed}: {error}\n{self.logs()}") from error
        assert outcomes.total() >= len(load.journal)
        assert {"debited", "insufficient_funds", "reference_conflict", "dead_letter"} <= {
            *outcomes
        }

    def logs(self) -> str:
        """The end of each engine's log."""
        return "\n".join(
            f"--- {engine.name} pid {engine.pid}, exit {engine.returncode}\n{engine.log_tail(40)}"
            for engine in self.engines
        )
