"""Topics of a test's own."""

import uuid
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from engine.settings import Settings


@dataclass(frozen=True)
class TopicNames:
    commands: str
    events: str
    dead_letters: str
    group: str

    @classmethod
    def unique(cls) -> "TopicNames":
        tag = uuid.uuid4().hex[:12]
        return cls(
            commands=f"t{tag}.wallet.commands",
            events=f"t{tag}.wallet.events",
            dead_letters=f"t{tag}.wallet.dead-letters",
            group=f"t{tag}.engine",
        )

    @property
    def settings(self) -> dict[str, str]:
        """What the settings call them."""
        return {
            "commands_topic": self.commands,
            "events_topic": self.events,
            "dead_letters_topic": self.dead_letters,
            "group": self.group,
        }

    @property
    def topics(self) -> tuple[str, ...]:
        return (self.commands, self.events, self.dead_letters)


async def create_topics(bootstrap: str, names: TopicNames, partitions: int = 4) -> None:
    """Create the three topics, each with this many partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        new = [NewTopic(name, partitions, replication_factor=1) for name in names.topics]
        await admin.create_topics(new)
    finally:
        await admin.close()


async def delete_topics(bootstrap: str, names: TopicNames) -> None:
    """Delete those of the three topics that exist."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        present = set(await admin.list_topics()) & set(names.topics)
        if present:
            await admin.delete_topics(sorted(present))
    finally:
        await admin.close()


async def read_topic(
    settings: Settings, topic: str, partitions: int
) -> dict[int, list[ConsumerRecord]]:
    """All records of a topic by partition, in order."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: dict[int, list[ConsumerRecord]] = {place.partition: [] for place in places}
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                found[place.partition] += records
        return found
    finally:
        await consumer.stop()


async def read_commands(settings: Settings) -> list[ConsumerRecord]:
    """Everything in the commands topic, partition after partition."""
    found = await read_topic(settings, settings.commands_topic, settings.partitions)
    return [record for records in found.values() for record in records]
