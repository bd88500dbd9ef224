"""The consumer group's side: FastStream's subscriber, whose handler only enqueues."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER
from faststream.kafka.schemas import Topic
from faststream.kafka.subscriber.usecase import BatchSubscriber

from engine.assignment import Assignment
from engine.cancelling import cancel
from engine.closing import closed_within, drop_consumer
from engine.fetched_records import tolerate_header_names
from engine.kafka import broker_security
from engine.observation import NOBODY, Observer
from engine.settings import Settings
from schemas.instants import utc_now

logger = logging.getLogger(__name__)
# not FastStream's own, which writes past the log format; below errors it tells what we ask it for
_framework_logger = logging.getLogger("engine.faststream")
_framework_logger.setLevel(logging.ERROR)

_FETCH_BYTES_MAX: Final = 8 * 1024 * 1024
_PARTITION_FETCH_BYTES_MAX: Final = 2 * 1024 * 1024
_LEAVE_S: Final = 3.0
_WATCH_INTERVAL_S: Final = 1.0


class CommandConsumer:
    """Subscribes to the commands topic, and replaces the client once it has given up."""

    def __init__(
        self,
        settings: Settings,
        partitions: int,
        owner_name: str,
        clock: Callable[[], datetime] = utc_now,
        observer: Observer = NOBODY,
    ) -> None:
        tolerate_header_names()
        self._settings = settings
        self._background: list[asyncio.Task[None]] = []
        self.broker = KafkaBroker(
            settings.kafka_bootstrap.split(","),
            security=broker_security(settings),
            allow_auto_create_topics=False,
            # it would never use its own producer and admin client
            consumer_only=True,
            apply_types=False,
            logger=_framework_logger,
            log_level=logging.DEBUG,
        )
        self.assignment = Assignment(
            settings, partitions, owner_name, clock, self._client, observer=observer
        )
        self._subscriber = self._subscribe()

    def _client(self) -> AIOKafkaConsumer | None:
        return self._subscriber.consumer

    def _subscribe(self) -> BatchSubscriber:
        settings = self._settings
        subscriber = self.broker.subscriber(
            Topic(settings.commands_topic, declare=False),
            batch=True,
            group_id=settings.group,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 5,
            fetch_max_bytes=_FETCH_BYTES_MAX,
            max_partition_fetch_bytes=_PARTITION_FETCH_BYTES_MAX,
            listener=self.assignment,
            parser=_parse,
            decoder=_decode,
        )
        # FastStream's own sleeps after each empty poll
        subscriber.get_msg = self.assignment.fetch  # type: ignore[method-assign]
        subscriber(self.assignment.deliver)
        return subscriber

    async def start(self) -> None:
        """Join the group. Raises KafkaError while no broker answers."""
        await self.broker.start()
        self._background = [
            asyncio.create_task(work)
            for work in (*self.assignment.background(), self._watch_client())
        ]

    async def stop(self) -> None:
        """Finish what is being appended, give up the shards, then leave the group.

        Takes a few seconds at most, whether or not Kafka and the database answer.
        """
        self.assignment.refuse_more()
        await self.assignment.give_up()
        await cancel(self._background)
        await asyncio.gather(self._leave_group(self.broker.stop()), self.assignment.close())

    async def _leave_group(self, leaving: Coroutine[Any, Any, None]) -> None:
        consumer = self._subscriber.consumer
        if (kept := await closed_within(_LEAVE_S, leaving)) is not None:
            logger.warning("group_not_left: %s; the session may have to time out", kept)
            if consumer is not None:
                drop_consumer(consumer)

    async def _watch_client(self) -> None:
        """Join the group anew once the client has given up: nothing would come from it again."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            if not _has_given_up(self._subscriber):
                continue
            logger.error("consumer_gave_up: joining the group anew")
            await self.assignment.give_up()
            await self._leave_group(self._subscriber.stop())
            try:
                await self._subscriber.start()
            except KafkaError as error:
                logger.warning("group_not_joined: %r; again soon", error)


def _has_given_up(subscriber: BatchSubscriber) -> bool:
    """Whether one of the tasks has ended without which no record is fetched or handed over."""
    consumer = subscriber.consumer
    if consumer is None or consumer._coordinator is None:  # noqa: SLF001
        return True
    tasks = [
        consumer._coordinator._coordination_task,  # noqa: SLF001
        consumer._fetcher._fetch_task,  # noqa: SLF001
        consumer._client._sync_task,  # noqa: SLF001
    ]
    return any(task.done() for task in tasks) or all(task.done() for task in subscriber.tasks)


async def _parse(records: tuple[ConsumerRecord, ...]) -> KafkaMessage:
    return KafkaMessage(raw_message=records, body=b"", consumer=FAKE_CONSUMER)


async def _decode(message: KafkaMessage) -> Any:
    return message.raw_message
