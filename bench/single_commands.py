"""Commands sent one at a time, and how long each takes until it is committed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from aiokafka import AIOKafkaProducer

from bench.errors import BenchError
from bench.hints import Hints
from bench.load import Command
from engine.kafka import client_options
from engine.settings import Settings

_DECIDED_S_MAX = 60


class SingleCommands:
    """Sends to the commands topic of a site, and hears what the engine has committed."""

    def __init__(self, producer: AIOKafkaProducer, hints: Hints, topic: str) -> None:
        self._producer = producer
        self._hints = hints
        self._topic = topic

    @classmethod
    @asynccontextmanager
    async def of(cls, settings: Settings) -> AsyncIterator[Self]:
        """Until the block ends."""
        producer = AIOKafkaProducer(**client_options(settings), acks="all")
        try:
            await producer.start()
            async with Hints.of(settings.database_url) as hints:
                yield cls(producer, hints, settings.commands_topic)
        finally:
            await producer.stop()

    async def send(self, command: Command) -> tuple[int, int]:
        """Its place, partition and offset, when it is acknowledged."""
        wallet_id, payload = command
        record = await self._producer.send_and_wait(self._topic, payload, key=wallet_id.encode())
        return record.partition, record.offset

    async def decided(self, place: tuple[int, int]) -> None:
        """Return when an engine says that it has committed the command at this place."""
        try:
            async with asyncio.timeout(_DECIDED_S_MAX):
                await self._hints.wait(*place)
        except TimeoutError:
            raise BenchError(f"no engine has decided a command in {_DECIDED_S_MAX} s") from None

    async def time(self, command: Command) -> float:
        """Seconds from sending it to hearing that it is committed."""
        start = time.perf_counter()
        await self.decided(await self.send(command))
        return time.perf_counter() - start
