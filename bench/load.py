"""The commands that a benchmark sends, and how they get into the topic."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from aiokafka import AIOKafkaProducer

from engine.settings import Settings
from engine.topology import home

FUNDS = 10**12
"""Minor units that every wallet is given."""

DESCRIPTION = "10 SMS messages sent"

Command = tuple[str, bytes]
"""Wallet id and payload."""

_LOT = 100
_BLOCK = 50
_REPEATS = frozenset({5, 11, 17, 23, 29, 35, 41, 47})
_REFUSED = frozenset({2, 12, 22, 32, 42})
_BLOCKS_AGO = (0, 400, 4_000)
_STRIDE = 7_919
"""A prime: taken so many at a time, each wallet has its turn before the first comes again."""


def wallet_ids(count: int) -> list[str]:
    return [f"wal_bench{number:07d}" for number in range(count)]


def opening(wallets: Sequence[str]) -> Iterator[Command]:
    """Each wallet is created and funded."""
    for wallet_id in wallets:
        yield creation(wallet_id)
        yield _funding(wallet_id)


def creation(wallet_id: str) -> Command:
    """The wallet is created, with nothing in it."""
    payload = _encode(
        type="create_wallet",
        wallet_id=wallet_id,
        reference="create",
        merchant_id="mch_bench",
        environment="live",
        customer_id="cus_bench",
        currency="GHS",
    )
    return wallet_id, payload


def debit_amount(number: int) -> int:
    """What the debit of this number takes."""
    return 1 + number % 900


def debit(wallet_id: str, reference: str, amount: int) -> Command:
    """The wallet is debited `amount`."""
    payload = _encode(
        type="debit",
        wallet_id=wallet_id,
        reference=reference,
        amount=amount,
        description=DESCRIPTION,
    )
    return wallet_id, payload


def debits(wallets: Sequence[str], count: int, tag: str) -> Iterator[Command]:
    """Debits that take turns over the wallets."""
    for number in range(count):
        wallet_id = wallets[number % len(wallets)]
        yield debit(wallet_id, f"{tag}_{number:08d}", debit_amount(number))


def mixed(wallets: Sequence[str], start: int, count: int, tag: str) -> Iterator[Command]:
    """Debits over the wallets from number `start` on, all over the place, none twice.

    Of each fifty commands eight (16 %) have been sent before: just now, 20,000 or 200,000 commands
    ago, or when the wallet was funded. Five (10 %) are refused: nobody has as much.
    """
    for number in range(count):
        block, slot = divmod(number, _BLOCK)
        if slot in _REPEATS:
            yield _repeat(wallets, start, block, slot, tag)
        else:
            yield _mixed_debit(wallets, start, number, tag)


def repeats_in(count: int) -> int:
    """How many of `count` commands of `mixed` have been sent before."""
    blocks, rest = divmod(count, _BLOCK)
    return blocks * len(_REPEATS) + sum(slot < rest for slot in _REPEATS)


def _repeat(wallets: Sequence[str], start: int, block: int, slot: int, tag: str) -> Command:
    blocks_ago = _BLOCKS_AGO[(block + slot) % len(_BLOCKS_AGO)]
    if blocks_ago > block:
        return _funding(_scattered(wallets, start + block * _BLOCK + slot))
    return _mixed_debit(wallets, start, (block - blocks_ago) * _BLOCK + slot - 1, tag)


def _mixed_debit(wallets: Sequence[str], start: int, number: int, tag: str) -> Command:
    too_much = 2 * FUNDS if number % _BLOCK in _REFUSED else 0
    wallet_id = _scattered(wallets, start + number)
    return debit(wallet_id, f"{tag}_{number:08d}", debit_amount(number) + too_much)


def _scattered(wallets: Sequence[str], number: int) -> str:
    return wallets[number * _STRIDE % len(wallets)]


def with_lots(wallets: Sequence[str], lots: int) -> Iterator[Command]:
    """Each wallet is created, and credited so many lots, which expire one after the other."""
    for wallet_id in wallets:
        yield creation(wallet_id)
        for lot in range(lots):
            payload = _encode(
                type="credit",
                wallet_id=wallet_id,
                reference=f"lot_{lot:04d}",
                amount=_LOT,
                expires_at=f"2099-01-01T{lot // 60:02}:{lot % 60:02}:00Z",
            )
            yield wallet_id, payload


def burning(wallets: Sequence[str], rounds: int) -> Iterator[Command]:
    """Each wallet of `with_lots` is debited half a lot, and then, in so many rounds, two lots.

    That is the other half of one, one, and half of the next: three lots a debit.
    """
    for number in range(1 + rounds):
        for wallet_id in wallets:
            yield debit(wallet_id, f"burning_{number:08d}", 2 * _LOT if number else _LOT // 2)


def _funding(wallet_id: str) -> Command:
    return wallet_id, _encode(type="topup", wallet_id=wallet_id, reference="fund", amount=FUNDS)


def _encode(**fields: object) -> bytes:
    return msgspec.json.encode(fields)


async def fill(settings: Settings, commands: Iterable[Command]) -> int:
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
