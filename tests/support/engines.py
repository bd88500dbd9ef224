"""Engines in the test's own process, on real topics and a real database of the test's own."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer, ConsumerRecord

from engine.consumer import CommandConsumer
from engine.fit import register_topology
from engine.observation import NOBODY, Observer
from engine.settings import Settings
from engine.topology import home
from schemas.entries import Entry, decode_entry
from schemas.instants import utc_now
from tests.support.topics import read_topic


@dataclass
class Service:
    """The settings of one test, and shorthands for what tests ask of the parts."""

    settings: Settings
    database: asyncpg.Connection
    producer: AIOKafkaProducer
    partitions: int
    sent: list[tuple[int, int]] = field(default_factory=list)

    def with_settings(self, **changes: Any) -> Settings:
        return self.settings.model_copy(update=changes)

    @asynccontextmanager
    async def engine(self, name: str = "engine", **changes: Any) -> AsyncIterator[CommandConsumer]:
        """A running engine; stopped at the end, even when the test fails."""
        clock: Callable[..., Any] = changes.pop("clock", utc_now)
        observer: Observer = changes.pop("observer", NOBODY)
        settings = self.with_settings(**changes)
        partitions = await register_topology(settings)
        consumer = CommandConsumer(settings, partitions, name, clock, observer)
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    async def send(
        self,
        payload: bytes | None,
        *,
        partition: int = 0,
        key: bytes | None = None,
        headers: Any = None,
    ) -> tuple[int, int]:
        """Send one record as it is; its (partition, offset)."""
        record = await self.producer.send_and_wait(
            self.settings.commands_topic, payload, key=key, partition=partition, headers=headers
        )
        self.sent.append((record.partition, record.offset))
        return record.partition, record.offset

    async def send_commands(self, *commands: bytes, wallet_id: str) -> list[tuple[int, int]]:
        """Send commands of one wallet to its home partition, in order."""
        place = home(wallet_id, self.partitions)
        futures = [
            await self.producer.send(
                self.settings.commands_topic, command, key=wallet_id.encode(), partition=place
            )
            for command in commands
        ]
        placed = [((await future).partition, (await future).offset) for future in futures]
        self.sent += placed
        return placed

    async def decided(self, *, timeout_s: float = 30.0) -> None:
        """Wait until everything sent so far has been decided, and what was forwarded as well."""
        deadline = time.monotonic() + timeout_s
        while True:
            rows = await self.database.fetch("SELECT shard, next_offset FROM shards")
            reached = {row["shard"]: row["next_offset"] for row in rows}
            forwards = await self.database.fetch("SELECT home, home_offset FROM forwards")
            places = [*self.sent, *((row["home"], row["home_offset"]) for row in forwards)]
            if all(reached.get(shard, 0) > offset for shard, offset in places):
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"not all decided: {reached}, sent up to {max(places)}")
            await asyncio.sleep(0.02)

    async def entries(self, shard: int | None = None) -> list[Entry]:
        rows = await self.database.fetch(
            "SELECT data FROM log WHERE $1::integer IS NULL OR shard = $1 ORDER BY shard, position",
            shard,
        )
        return [decode_entry(row["data"]) for row in rows]

    async def shard(self, shard: int = 0) -> asyncpg.Record:
        row = await self.database.fetchrow("SELECT * FROM shards WHERE shard = $1", shard)
        assert row is not None
        return row

    async def until(self, condition: str, *arguments: Any, timeout_s: float = 20.0) -> None:
        """Wait until a query for one boolean says true."""
        deadline = time.monotonic() + timeout_s
        while not await self.database.fetchval(condition, *arguments):
            if time.monotonic() > deadline:
                raise AssertionError(f"not true within {timeout_s:.0f} s: {condition}")
            await asyncio.sleep(0.02)

    async def published(self) -> dict[int, list[ConsumerRecord]]:
        """All records of the events topic by partition."""
        return await self.records(self.settings.events_topic)

    async def records(self, topic: str) -> dict[int, list[ConsumerRecord]]:
        return await read_topic(self.settings, topic, self.partitions)


@asynccontextmanager
async def service(settings: Settings, partitions: int) -> AsyncIterator[Service]:
    """Connections to the parts that the settings name."""
    database = await asyncpg.connect(settings.database_url)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, enable_idempotence=True, acks="all"
    )
    await producer.start()
    try:
        yield Service(settings, database, producer, partitions)
    finally:
        await producer.stop()
        await database.close()


def wallets_at_home_in(shard: int, partitions: int) -> Iterable[str]:
    """Wallet ids that live in a shard, without end."""
    number = 0
    while True:
        wallet_id = f"wal_w{number:06d}"
        if home(wallet_id, partitions) == shard:
            yield wallet_id
        number += 1
