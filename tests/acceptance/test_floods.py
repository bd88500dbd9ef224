"""Floods: a sender who sends far too much, or nothing but rubbish, and everybody else meanwhile.

One engine has all four shards. The flood goes to one partition, whose appends wait for a lock while
it comes in; the other three are everybody else's. What is promised, in docs/operations.md under "Floods": they are decided within
`OTHERS_S_MAX` while it lasts, the engine takes no more than `MEMORY_BYTES_MAX` of memory for it, no
shard stops, and what comes after the flood is decided like anything else.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count

import psutil
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from cli.stack import Stack
from engine.topology import home
from schemas.commands import PAYLOAD_BYTES_MAX
from tests.support.databases import connection_to
from tests.support.engine_processes import PARTITIONS, Deployment
from tests.support.payloads import create, debit, payload, topup

OTHERS_S_MAX = 10.0
MEMORY_BYTES_MAX = 200 * 1024 * 1024
FLOODED = 0

_DRAINED_S_MAX = 240
_PROBE_PAUSE_S = 0.1
_BLOCKED_S = 7.0

pytestmark = pytest.mark.timeout(600)


def wallets_of(shard: int) -> Iterator[str]:
    """Ids of wallets that are at home there."""
    return (wallet for number in count() if home(wallet := f"wal_f{number}", PARTITIONS) == shard)


HOT = next(wallets_of(FLOODED))


def one_wallet() -> list[bytes]:
    """A wallet that everybody uses at once."""
    return [debit(HOT, f"d{number}", 1) for number in range(20_000)]


def unknown_wallets() -> list[bytes]:
    """Each is looked up, and refused."""
    wallets = wallets_of(FLOODED)
    return [debit(next(wallets), "d", 1) for _ in range(20_000)]


def dead_letters() -> list[bytes]:
    """Each is kept in a table, and published."""
    return [b"no command %d" % number for number in range(40_000)]


def the_largest() -> list[bytes]:
    """Commands of as many bytes as are taken."""
    found = []
    for number in range(2_500):
        command = payload("debit", HOT, f"l{number}", amount=1, metadata={"a": ""})
        room = PAYLOAD_BYTES_MAX - len(command)
        found.append(payload("debit", HOT, f"l{number}", amount=1, metadata={"a": "x" * room}))
        assert len(found[-1]) == PAYLOAD_BYTES_MAX
    return found


@pytest_asyncio.fixture
async def deployment(stack: Stack) -> AsyncIterator[Deployment]:
    async with Deployment.on(stack, batch_commands_max=500) as running:
        yield running


@pytest.mark.parametrize("make", [one_wallet, unknown_wallets, dead_letters, the_largest])
async def test_others_go_on_being_served(
    deployment: Deployment, make: Callable[[], list[bytes]]
) -> None:
    settings = deployment.settings
    flood = make()
    others = [next(wallets_of(shard)) for shard in range(PARTITIONS) if shard != FLOODED]
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, acks="all", max_batch_size=512 * 1024
    )
    async with producer:
        engine = deployment.start_engine()
        first = [(wallet, create(wallet)) for wallet in (HOT, *others)]
        first += [(wallet, topup(wallet, "t", 10**9)) for wallet in (HOT, *others)]
        await send(producer, deployment, first)
        await deployment.until_decided(len(first))
        process = psutil.Process(engine.pid)
        before = peak = process.memory_info().rss
        blocked = asyncio.Event()
        blocking = asyncio.create_task(block(deployment, blocked))
        await blocked.wait()
        flooding = asyncio.create_task(
            send(producer, deployment, [(HOT, command) for command in flood], FLOODED)
        )
        slowest, probes = 0.0, 0
        deadline = time.monotonic() + _DRAINED_S_MAX
        while not flooding.done() or await behind(deployment, FLOODED, flooding.result()):
            assert time.monotonic() < deadline, "the flood is not decided"
            slowest = max(slowest, await probe(producer, deployment, others, probes))
            probes += 1
            peak = max(peak, process.memory_info().rss)
            await asyncio.sleep(_PROBE_PAUSE_S)
        await blocking
        assert probes >= 2
        assert slowest <= OTHERS_S_MAX
        assert peak - before <= MEMORY_BYTES_MAX
        await send(producer, deployment, [(HOT, debit(HOT, "after", 1))])
        assert not await deployment.fetch("SELECT FROM shards WHERE halted IS NOT NULL")
        await deployment.until(
            "SELECT EXISTS (SELECT FROM log WHERE wallet_id = $1 AND type = 'debited'"
            " AND convert_from(data, 'UTF8')::jsonb #>> '{event,reference}' = 'after')",
            HOT,
        )
    assert engine.running


async def block(deployment: Deployment, blocked: asyncio.Event) -> None:
    """Let the appends of the flooded shard wait, shorter than a transaction may last."""
    async with (
        connection_to(deployment.settings.database_url) as connection,
        connection.transaction(),
    ):
        await connection.execute("SELECT FROM shards WHERE shard = $1 FOR UPDATE", FLOODED)
        blocked.set()
        await asyncio.sleep(_BLOCKED_S)


async def send(
    producer: AIOKafkaProducer,
    deployment: Deployment,
    commands: list[tuple[str, bytes]],
    partition: int | None = None,
) -> int:
    """Send all, to their homes unless told otherwise; the offset of the last."""
    placed = [
        await producer.send(
            deployment.settings.commands_topic,
            command,
            key=wallet.encode(),
            partition=home(wallet, PARTITIONS) if partition is None else partition,
        )
        for wallet, command in commands
    ]
    records = await asyncio.gather(*placed)
    return max(record.offset for record in records)


async def behind(deployment: Deployment, shard: int, offset: int) -> bool:
    rows = await deployment.fetch("SELECT next_offset FROM shards WHERE shard = $1", shard)
    return bool(rows[0]["next_offset"] <= offset)


async def probe(
    producer: AIOKafkaProducer, deployment: Deployment, others: list[str], number: int
) -> float:
    """Seconds until a debit of each of the others is decided."""
    started = time.monotonic()
    for wallet in others:
        offset = await send(producer, deployment, [(wallet, debit(wallet, f"p{number}", 1))])
        while await behind(deployment, home(wallet, PARTITIONS), offset):
            assert time.monotonic() - started < 10 * OTHERS_S_MAX, "others are not served"
            await asyncio.sleep(0.02)
    return time.monotonic() - started
