"""A database and topics of its own on the stack, and the processes that work on them."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr

from api.install import install
from bench.drain import ALL_PUBLISHED, ALL_VISIBLE, Drain, Watch, time_drain
from bench.errors import BenchError
from bench.load import Command, fill, opening
from cli.processes import service_argv
from cli.readiness import raise_if_ended
from cli.stack import ManagedProcess, Stack
from engine.kafka import client_options
from engine.settings import Settings
from engine.topics import create_topics

SECRET = "a-secret-key-of-the-benchmark-alone"
_POLL_S = 0.02
_ALL_DECIDED = "SELECT sum(next_offset) >= {} FROM shards"
_SETTLE_S_MAX = 60


class Site:
    """Where one measurement is made. `sent` is how many commands stand in the topic."""

    def __init__(self, stack: Stack, name: str, settings: Settings) -> None:
        self.stack = stack
        self.name = name
        self.settings = settings
        self.sent = 0
        self._numbers = itertools.count(1)

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to be told to work here."""
        settings = self.settings
        return {
            "WALLET_DATABASE_URL": settings.database_url,
            "WALLET_COMMANDS_TOPIC": settings.commands_topic,
            "WALLET_EVENTS_TOPIC": settings.events_topic,
            "WALLET_DEAD_LETTERS_TOPIC": settings.dead_letters_topic,
            "WALLET_GROUP": settings.group,
            "WALLET_PARTITIONS": str(settings.partitions),
            "WALLET_SECRET_KEYS": SECRET,
        }

    def spawn(self, service: str, env: Mapping[str, str] | None = None) -> ManagedProcess:
        """Start `wallet engine`, `wallet projector` or `wallet api` as users do."""
        name = f"{self.name}-{service}-{next(self._numbers)}"
        return self.stack.spawn(name, service_argv(service), self.environment | dict(env or {}))

    @asynccontextmanager
    async def running(
        self, *services: str, env: Mapping[str, str] | None = None
    ) -> AsyncIterator[list[ManagedProcess]]:
        """These processes, until the block ends; raises StackError if one ended by itself."""
        processes = [self.spawn(service, env) for service in services]
        try:
            yield processes
            raise_if_ended(processes)
        finally:
            await asyncio.gather(*(process.stop() for process in processes))

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection to it."""
        connection = await asyncpg.connect(self.settings.database_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def fill(self, commands: Iterable[Command]) -> None:
        """Put commands (wallet id, payload) into their home partitions."""
        self.sent += await fill(self.settings, commands)

    async def open_wallets(self, wallet_ids: Sequence[str]) -> None:
        """Create and fund these wallets by commands."""
        await self.fill(opening(wallet_ids))
        await self.work_off()

    async def work_off(self) -> None:
        """Start an engine, and wait until all that was sent is decided and published."""
        async with Watch.of(self.settings) as watch, self.running("engine") as processes:
            watch.expect(processes)
            await watch.until_decided(self.sent)
            await watch.until_published()
        await self.expect_published()

    async def drain(
        self,
        *,
        engines: int = 1,
        projectors: int = 0,
        warm_up: int = 0,
        env: Mapping[str, str] | None = None,
    ) -> Drain:
        """Start engines and projectors, and wait until all that was sent is worked off.

        The clock starts once `warm_up` commands are decided, or with the first commit.
        """
        services = ["projector"] * projectors + ["engine"] * engines
        async with (
            Watch.of(self.settings) as watch,
            self.running(*services, env=env) as processes,
        ):
            watch.expect(processes)
            drained = await time_drain(watch, self.sent, warm_up=warm_up, visible=bool(projectors))
        await self.expect_published()
        return drained

    async def expect_published(self) -> None:
        """Raise BenchError if an engine that was stopped has left something unpublished."""
        async with self.database() as database:
            if not await database.fetchval(ALL_PUBLISHED):
                raise BenchError("the engine was stopped, and has left entries unpublished")

    async def settle(self) -> None:
        """Wait until all that was sent is decided, published, and in the read models."""
        async with self.database() as database:
            deadline = time.monotonic() + _SETTLE_S_MAX
            while not await _is_settled(database, self.sent):
                if time.monotonic() > deadline:
                    raise BenchError(f"{self.name} has not settled within {_SETTLE_S_MAX} s")
                await asyncio.sleep(_POLL_S)


async def _is_settled(database: asyncpg.Connection, commands: int) -> bool:
    for condition in (_ALL_DECIDED.format(commands), ALL_PUBLISHED, ALL_VISIBLE):
        if not await database.fetchval(condition):
            return False
    return True


@asynccontextmanager
async def site(stack: Stack, name: str, *, partitions: int = 4) -> AsyncIterator[Site]:
    """A new one of this name; database and topics are removed at the end."""
    database = f"bench_{name}".replace("-", "_")
    settings = Settings(
        database_url=f"{stack.database_url.rpartition('/')[0]}/{database}",
        kafka_bootstrap=stack.kafka_bootstrap,
        commands_topic=f"{name}.commands",
        events_topic=f"{name}.events",
        dead_letters_topic=f"{name}.dead-letters",
        group=name,
        partitions=partitions,
        secret_keys=SecretStr(SECRET),
    )
    await _execute(stack, f"CREATE DATABASE {database}")
    try:
        await install(settings.database_url)
        await create_topics(settings)
        yield Site(stack, name, settings)
        await _delete_topics(settings)
    finally:
        await _execute(stack, f"DROP DATABASE {database} WITH (FORCE)")


async def _execute(stack: Stack, statement: str) -> None:
    connection = await asyncpg.connect(stack.database_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _delete_topics(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        await admin.delete_topics(
            [settings.commands_topic, settings.events_topic, settings.dead_letters_topic]
        )
    finally:
        await admin.close()
