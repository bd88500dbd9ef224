"""The gateway: commands into Kafka, and their outcomes by their receipts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from api.errors import OutcomeUnknownError
from engine.kafka import client_options
from engine.receipts import Accepted, DeadLettered, Receipt, Rejected, resolve
from engine.settings import Settings
from projections.queries import reaching_database
from projections.waiting import Place, ShardWatch
from schemas.commands import AnyCommand, encode_command


class Gateway:
    """Carries commands to the engine; connects to Kafka when the first one comes."""

    def __init__(self, settings: Settings, rows: asyncpg.Pool, watch: ShardWatch) -> None:
        self._settings = settings
        self._rows = rows
        self._watch = watch
        self._connecting = asyncio.Lock()
        self._producer: AIOKafkaProducer | None = None

    async def carry(self, command: AnyCommand, deadline: float) -> Accepted | Rejected:
        """Send the command and wait for its outcome, until `deadline` of the loop's clock.

        Raises OutcomeUnknownError when there is none by then.
        """
        try:
            async with asyncio.timeout_at(deadline):
                return await self._carry(command)
        except (TimeoutError, KafkaError):
            raise OutcomeUnknownError from None

    async def _carry(self, command: AnyCommand) -> Accepted | Rejected:
        producer = await self._connected()
        record = await producer.send_and_wait(
            self._settings.commands_topic,
            encode_command(command),
            key=command.wallet_id.encode(),
        )
        await self._watch.wait_until_shown(Place(record.partition, record.offset), ())
        with reaching_database():
            outcome = await resolve(self._rows, Receipt(command, record.partition, record.offset))
        if outcome is None or isinstance(outcome, DeadLettered):
            raise OutcomeUnknownError
        return outcome

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **client_options(self._settings),
                    client_id="wallet-api",
                    acks="all",
                    request_timeout_ms=self._settings.api_deadline_ms,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
        return self._producer

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()


@asynccontextmanager
async def gateway(
    settings: Settings, rows: asyncpg.Pool, watch: ShardWatch
) -> AsyncIterator[Gateway]:
    """A gateway with a producer of its own."""
    carrying = Gateway(settings, rows, watch)
    try:
        yield carrying
    finally:
        await carrying.close()
