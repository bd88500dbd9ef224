"""The commands that a benchmark sends, and how they get into the topic."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from aiokafka import AIOKafkaProducer

from engine.settings import Settings
from engine.topology import home

FUNDS = 10**12
"""Minor units that every wallet is given."""

DESCRIPTION = "10 SMS messages sent"


def wallet_ids(count: int) -> list[str]:
    return [f"wal_bench{number:07d}" for number in range(count)]


def opening(wallets: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Each wallet is created and funded."""
    for wallet_id in wallets:
        yield (
            wallet_id,
            _encode(
                type="create_wallet",
                wallet_id=wallet_id,
                reference="create",
                merchant_id="mch_bench",
                environment="live",
                customer_id="cus_bench",
                currency="GHS",
            ),
        )
        yield (
            wallet_id,
            _encode(type="topup", wallet_id=wallet_id, reference="fund", amount=FUNDS),
        )


def debit_amount(number: int) -> int:
    """What the debit of this number takes."""
    return 1 + number % 900


def debits(wallets: Sequence[str], count: int, tag: str) -> Iterator[tuple[str, bytes]]:
    """Debits that take turns over the wallets."""
    for number in range(count):
        wallet_id = wallets[number % len(wallets)]
        yield (
            wallet_id,
            _encode(
                type="debit",
                wallet_id=wallet_id,
                reference=f"{tag}_{number:08d}",
                amount=debit_amount(number),
                description=DESCRIPTION,
            ),
        )


def _encode(**fields: object) -> bytes:
    return msgspec.json.encode(fields)


async def fill(settings: Settings, commands: Iterable[tuple[str, bytes]]) -> int:
    """Put the commands into their home partitions; how many there were."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=500_000,
        linger_ms=5,
    )
    await producer.start()
    try:
        partitions = len(await producer.partitions_for(settings.commands_topic))
        builders = {number: producer.create_batch() for number in range(partitions)}
        sent = 0

        async def flush(partition: int) -> None:
            batch = builders[partition]
            builders[partition] = producer.create_batch()
            if batch.record_count():
                await (
                    await producer.send_batch(batch, settings.commands_topic, partition=partition)
                )

        for wallet_id, payload in commands:
            partition = home(wallet_id, partitions)
            key = wallet_id.encode()
            while (
                builders[partition].append(timestamp=None, key=key, value=payload, headers=[])
                is None
            ):
                await flush(partition)
            sent += 1
        for partition in range(partitions):
            await flush(partition)
        return sent
    finally:
        await producer.stop()
