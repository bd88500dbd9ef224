"""Producing commands: one producer for the process, connected for as long as Kafka is there.

It is not idempotent: such a one tries for ever, and a command that is sent twice is decided once
anyway.
"""

import asyncio
import logging
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from engine.kafka import client_options
from engine.producing import close_producer
from engine.settings import Settings

_log = logging.getLogger(__name__)

_BATCH_BYTES_MAX: Final = 256 * 1024
_BACK_OFF_S: Final = (0.1, 0.2, 0.5, 1.0)


Headers = list[tuple[str, bytes]]


class CommandProducer:
    """Sends commands; `run` keeps it connected."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connected: asyncio.Future[AIOKafkaProducer] = _future()

    async def send(
        self, wallet_id: str, payload: bytes, headers: Headers | None = None
    ) -> tuple[int, int]:
        """The partition and offset that every in-sync replica has the command at.

        Waits while Kafka is away. Raises KafkaError if it is not taken; whoever gives up waiting
        can't tell whether it still will be.
        """
        producer = await asyncio.shield(self._connected)
        record = await producer.send_and_wait(
            self._settings.commands_topic, payload, key=wallet_id.encode(), headers=headers
        )
        return record.partition, record.offset

    async def run(self) -> None:
        """Connect, and anew whenever the producer has failed for good; until cancelled."""
        failures = 0
        while True:
            producer = self._producer()
            try:
                await self._start(producer)
                failures = 0
                self._connected.set_result(producer)
                # it ends only when nothing can be sent any more
                await asyncio.wait({producer._sender.sender_task})  # noqa: SLF001
                _log.error("kafka_producer_failed: connecting anew")
            except (KafkaError, OSError) as error:
                (_log.debug if failures else _log.warning)(
                    "Kafka can't be reached (%r); trying until it can", error
                )
            finally:
                if self._connected.done():
                    self._connected = _future()
                await close_producer(producer)
            await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
            failures += 1

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **client_options(self._settings),
            client_id="wallet-api",
            acks="all",
            max_batch_size=_BATCH_BYTES_MAX,
            request_timeout_ms=self._settings.api_deadline_ms,
        )

    async def _start(self, producer: AIOKafkaProducer) -> None:
        await producer.start()
        # or the first command would wait for what is to be known of the topic
        await producer.partitions_for(self._settings.commands_topic)


def _future() -> asyncio.Future[AIOKafkaProducer]:
    return asyncio.get_running_loop().create_future()
