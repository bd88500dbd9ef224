"""A load of commands drawn from a seed, and a journal of what was sent where.

async with Load(settings, partitions=4, seed=7) as load:
    async with load.flowing():
        ...  # break something
    load.journal
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from zlib import crc32

from aiokafka import AIOKafkaProducer
from msgspec import Struct

from engine.producing import close_producer
from engine.settings import Settings
from engine.topology import home
from tests.support.payloads import create, credit, debit, payload, topup

_WALLETS = 40
_BURST = 15
_PAUSE_S = 0.02
_DELIVERY_MS_MAX = 90_000
_KINDS = {
    "topup": 24,
    "debit": 40,
    "credit": 10,
    "short_credit": 4,
    "freeze": 3,
    "unfreeze": 4,
    "close": 0.3,
    "repeat": 10,
    "conflict": 3,
    "unknown_wallet": 2,
    "garbage": 2,
}


class Sent(Struct, frozen=True):
    """A record that the broker has acknowledged."""

    partition: int
    offset: int
    payload: bytes


def as_librdkafka(wallet_id: str, partitions: int) -> int:
    """The partition that librdkafka's default partitioner gives a key."""
    return crc32(wallet_id.encode()) % partitions


class Load:
    """Sends commands one after the other, and whatever a hasty sender would send besides."""

    def __init__(
        self,
        settings: Settings,
        *,
        partitions: int,
        seed: int,
        place: Callable[[str, int], int] = home,
        tag: str = "load",
    ) -> None:
        self.seed = seed
        self.partitions = partitions
        self.journal: list[Sent] = []
        self.sent = 0
        self._random = random.Random(seed)
        self._place = place
        self._topic = settings.commands_topic
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka_bootstrap,
            enable_idempotence=True,
            acks="all",
            # also how long a record may wait for a broker before it is given up
            request_timeout_ms=_DELIVERY_MS_MAX,
        )
        self._wallets = [f"wal_{tag}{number:03d}" for number in range(_WALLETS)]
        self._references: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._send_all([(wallet, create(wallet)) for wallet in self._wallets])
        return self

    async def __aexit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None:
            await self._producer.stop()
        else:
            # that would wait for a broker that may never come back
            await close_producer(self._producer)

    async def send(self, count: int) -> None:
        """Send so many, and wait until the broker has them all."""
        await self._send_all([self._draw() for _ in range(count)])

    @asynccontextmanager
    async def flowing(self, at_most: int = 6_000) -> AsyncIterator[None]:
        """Send in bursts for as long as the block lasts; then wait until the broker has all.

        A block that fails is not held up by a broker that may never come back.
        """
        stop = asyncio.Event()
        flow = asyncio.create_task(self._flow(stop, at_most))
        try:
            yield
        except BaseException:
            flow.cancel()
            await asyncio.gather(flow, return_exceptions=True)
            raise
        stop.set()
        await flow

    async def _flow(self, stop: asyncio.Event, at_most: int) -> None:
        async with asyncio.TaskGroup() as deliveries:
            while not stop.is_set() and self.sent < at_most:
                deliveries.create_task(self._send_all([self._draw() for _ in range(_BURST)]))
                await asyncio.sleep(_PAUSE_S)

    async def _send_all(self, commands: list[tuple[str, bytes]]) -> None:
        self.sent += len(commands)
        placed = []
        for key, value in commands:
            partition = self._place(key, self.partitions)
            delivery = await self._producer.send(
                self._topic, value, key=key.encode(), partition=partition
            )
            placed.append((delivery, value))
        for delivery, value in placed:
            record = await delivery
            self.journal.append(Sent(record.partition, record.offset, value))

    def _draw(self) -> tuple[str, bytes]:
        kinds, weights = list(_KINDS), list(_KINDS.values())
        kind = self._random.choices(kinds, weights)[0]
        wallet = self._random.choice(self._wallets)
        if kind == "garbage":
            return wallet, self._random.choice([b"no JSON", b'{"type":"debit"}', b"\xff\x00"])
        if kind == "unknown_wallet":
            wallet = f"wal_nobody{self._random.randrange(5)}"
            kind = "debit"
        if kind in {"repeat", "conflict"} and self._references:
            return self._again(as_it_was=kind == "repeat")
        return wallet, self._new(kind, wallet)

    def _again(self, *, as_it_was: bool) -> tuple[str, bytes]:
        command = dict(self._random.choice(self._references))
        if not as_it_was:
            command["amount"] += 1
        # the order of the keys is no part of the body
        keys = self._random.sample(list(command), len(command))
        return command["wallet_id"], json.dumps({key: command[key] for key in keys}).encode()

    def _new(self, kind: str, wallet: str) -> bytes:
        reference = f"r{self.sent}-{self._random.getrandbits(48):x}"
        amount = self._random.randint(1, 400)
        if kind in {"freeze", "unfreeze", "close"}:
            return payload(kind, wallet, reference)
        if kind == "short_credit":
            lasts = timedelta(seconds=self._random.uniform(0.2, 2.0))
            expires_at = (datetime.now(UTC) + lasts).isoformat()
            return credit(wallet, reference, amount, expires_at=expires_at)
        if kind == "credit":
            return credit(wallet, reference, amount, priority=self._random.randrange(1000))
        command = (topup if kind == "topup" else debit)(wallet, reference, amount)
        self._references.append(json.loads(command))
        return command
