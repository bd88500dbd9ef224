"""Whatever fails between Kafka and the log: nothing is lost, nothing is done twice."""

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from engine.assignment import Assignment
from engine.log import ShardLog
from engine.owner import ShardOwner
from engine.placement import Placement
from tests.support.engines import Service
from tests.support.payloads import create, debit, topup

W = "wal_a1"
COUNT = 60
SMALL = {"batch_commands_max": 7}


async def load(running: Service) -> None:
    """Commands whose order shows in the balances they leave."""
    amounts = [topup(W, f"t{number}", 1 << (number % 40)) for number in range(COUNT)]
    await running.send_commands(create(W), *amounts, wallet_id=W)


async def assert_all_decided_once(running: Service) -> None:
    entries = await running.entries()
    assert [entry.position for entry in entries] == list(range(COUNT + 1))
    references = [entry.event.reference for entry in entries]
    assert references == ["create", *(f"t{number}" for number in range(COUNT))]
    assert [entry.offset for entry in entries] == list(range(COUNT + 1))


def fail_once(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, *, after: bool, on_call: int = 3
) -> list[int]:
    """Let one call of a method fail, before or after it has done its work; the calls so far."""
    working: Callable[..., Any] = getattr(owner, name)
    calls = [0]

    async def failing(self: Any, *arguments: Any) -> Any:
        calls[0] += 1
        fails = calls[0] == on_call
        if fails and not after:
            raise ConnectionResetError("as if the network had failed")
        result = await working(self, *arguments)
        if fails:
            raise ConnectionResetError("as if the reply had been lost")
        return result

    monkeypatch.setattr(owner, name, failing)
    return calls


@pytest.mark.parametrize("after", [False, True], ids=["not sent", "reply lost"])
async def test_a_failed_append_is_settled_by_a_new_claim(
    running: Service, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    fail_once(monkeypatch, ShardLog, "append", after=after)
    async with running.engine(**SMALL):
        await load(running)
        await running.decided()
    await assert_all_decided_once(running)
    assert (await running.shard())["epoch"] == 2


@pytest.mark.parametrize("name", ["find_outcomes", "load_wallets"])
async def test_a_failed_look_up_is_made_up_for(
    running: Service, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fail_once(monkeypatch, ShardLog, name, after=True, on_call=1)
    async with running.engine(**SMALL):
        await load(running)
        await running.decided()
    await assert_all_decided_once(running)


def place_anywhere(placement: Placement, _: int, last: int) -> str:
    placement.expected = last + 1
    return "accept"


async def test_the_last_delivery_of_a_partition_is_not_left_undecided(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No later one comes whose beginning would tell of it."""
    working = Assignment.deliver
    swallowed: list[int] = []

    async def failing(self: Assignment, records: Any) -> None:
        if not swallowed:
            swallowed.extend(record.offset for record in records)
            raise ConnectionResetError("as if the parser had failed")
        await working(self, records)

    monkeypatch.setattr(Assignment, "deliver", failing)
    async with running.engine():
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
    assert swallowed == [0]
    assert len(await running.entries()) == 1


@pytest.mark.parametrize("guards", [{"undelivered"}, {"start"}, set()])
async def test_a_delivery_that_the_framework_swallowed_is_fetched_again(
    running: Service, monkeypatch: pytest.MonkeyPatch, guards: set[str]
) -> None:
    """The subscriber's position is past it: what was not delivered is known, and where the next
    one begins tells of it as well."""
    working = Assignment.deliver
    swallowed: list[int] = []

    async def failing(self: Assignment, records: Any) -> None:
        if records[0].offset == 10 and not swallowed:
            swallowed.extend(record.offset for record in records)
            raise ConnectionResetError("as if the parser had failed")
        await working(self, records)

    monkeypatch.setattr(Assignment, "deliver", failing)
    if "start" not in guards:
        monkeypatch.setattr(Placement, "place", place_anywhere)
    if "undelivered" not in guards:
        monkeypatch.setattr(ShardOwner, "fetch_again", lambda _: None)
    await load(running)
    async with running.engine(batch_commands_max=10):
        await running.decided()
    assert swallowed
    if guards:
        await assert_all_decided_once(running)
    else:
        assert len(await running.entries()) == COUNT + 1 - len(swallowed)


async def test_a_killed_engine_leaves_nothing_half_done(running: Service) -> None:
    await load(running)
    async with running.engine("first", **SMALL) as engine:
        await running.until("SELECT next_offset > 10 FROM shards WHERE shard = 0")
        for owner in engine.assignment._owners.values():
            assert owner._task is not None
            owner._task.cancel()
        async with running.engine("second", group=running.settings.group + "2", **SMALL):
            await running.decided()
            await running.until("SELECT published = position FROM shards WHERE shard = 0")
    await assert_all_decided_once(running)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_codec_is_consumed(running: Service, codec: str) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=running.settings.kafka_bootstrap, compression_type=codec
    )
    await producer.start()
    try:
        async with running.engine():
            for command in (create(W), *(topup(W, f"t{n}", 5) for n in range(5))):
                sent = await producer.send(running.settings.commands_topic, command, partition=0)
            running.sent.append((0, (await sent).offset))
            await running.decided(timeout_s=10)
    finally:
        await producer.stop()
    assert len(await running.entries()) == 6


async def test_aborted_transactions_are_not_executed_and_leave_gaps(running: Service) -> None:
    topic = running.settings.commands_topic
    producer = AIOKafkaProducer(
        bootstrap_servers=running.settings.kafka_bootstrap, transactional_id=topic
    )
    await producer.start()

    async def transaction(*commands: bytes, aborted: bool = False) -> None:
        await producer.begin_transaction()
        for command in commands:
            record = await producer.send_and_wait(topic, command, partition=0)
        if aborted:
            await producer.abort_transaction()
        else:
            await producer.commit_transaction()
            running.sent.append((0, record.offset))

    try:
        async with running.engine():
            await transaction(create(W), topup(W, "t1", 100))
            await running.decided()
            await transaction(debit(W, "aborted", 1), debit(W, "d", 50), aborted=True)
            await transaction(debit(W, "d", 7))
            await running.decided()
        # the claim reads the last record, which stands before markers
        async with running.engine():
            await transaction(debit(W, "aborted", 1), aborted=True)
            await transaction(debit(W, "e", 3))
            await running.decided()
    finally:
        await producer.stop()
    entries = await running.entries()
    assert [entry.event.balance_after for entry in entries[1:]] == [100, 93, 90]
    assert [entry.offset for entry in entries] == [0, 1, 6, 10]
    assert (await running.shard())["halted"] is None


@pytest.mark.parametrize("batch_commands_max", [1, 1_000])
async def test_a_small_queue_pauses_the_partition_and_loses_nothing(
    running: Service, batch_commands_max: int
) -> None:
    async with running.engine(queue_commands_max=5, batch_commands_max=batch_commands_max):
        await load(running)
        await running.decided()
    await assert_all_decided_once(running)
