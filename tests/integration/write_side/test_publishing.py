"""Every entry reaches the events topic, in order, with no hole that stays."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from engine import publisher
from engine.events_topic import EventRecord
from engine.producing import ShardProducer
from engine.publisher import Publisher
from schemas.dead_letters import PUBLISHED_BYTES_MAX, PUBLISHED_KEY_BYTES_MAX, DeadLetter
from tests.support.engines import Service
from tests.support.payloads import create, topup

W = "wal_a1"
COUNT = 60


async def load(running: Service, count: int = COUNT) -> None:
    topups = [topup(W, f"t{number}", 1) for number in range(count)]
    await running.send_commands(create(W), *topups, wallet_id=W)


def accepted(records: Sequence[ConsumerRecord]) -> list[bytes]:
    """What a consumer takes that accepts exactly the position after its last one."""
    taken: list[bytes] = []
    for record in records:
        if msgspec.json.decode(record.value)["position"] == len(taken):
            taken.append(record.value)
    return taken


async def assert_all_published(running: Service) -> list[ConsumerRecord]:
    await running.until("SELECT published = position FROM shards WHERE shard = 0")
    records = (await running.published())[0]
    rows = await running.database.fetch("SELECT data FROM log ORDER BY position")
    assert accepted(records) == [row["data"] for row in rows]
    return records


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "BATCH_BYTES_MAX", 5_000)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("landed", [False, True])
@pytest.mark.parametrize("refused", [1, 3])
async def test_a_refused_batch_leaves_no_hole(
    running: Service, monkeypatch: pytest.MonkeyPatch, refused: int, landed: bool
) -> None:
    working = ShardProducer.publish
    calls: list[tuple[int, ShardProducer]] = []
    acknowledged: set[int] = set()
    passed_a_hole: list[int] = []

    async def publish(self: ShardProducer, records: Sequence[EventRecord]) -> None:
        calls.append((records[0].position, self))
        if len(calls) != refused or landed:
            await working(self, records)
        if len(calls) == refused:
            raise KafkaError("refused by the broker")
        acknowledged.update(record.position for record in records)

    covered = Publisher.__setattr__

    def watched(self: Publisher, name: str, value: Any) -> None:
        if name == "published" and not acknowledged.issuperset(range(value)):
            passed_a_hole.append(value)
        covered(self, name, value)

    monkeypatch.setattr(ShardProducer, "publish", publish)
    monkeypatch.setattr(Publisher, "__setattr__", watched)
    await load(running)
    async with running.engine():
        await running.decided()
        records = await assert_all_published(running)
    assert passed_a_hole == []
    positions = [position for position, _ in calls]
    assert positions[refused] == positions[refused - 1]
    assert calls[refused][1] is not calls[refused - 1][1], "a failed producer was used again"
    assert (len(records) > COUNT + 1) is landed


@pytest.mark.usefixtures("small_batches")
async def test_the_next_owner_goes_on_where_publishing_ended(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = ShardProducer.publish
    published = 0

    async def stuck(self: ShardProducer, records: Sequence[EventRecord]) -> None:
        nonlocal published
        if published > 20:
            await asyncio.Event().wait()
        await working(self, records)
        published = records[-1].position + 1

    monkeypatch.setattr(ShardProducer, "publish", stuck)
    await load(running)
    async with running.engine() as engine:
        await running.decided()
        for owner in engine.assignment._owners.values():
            assert owner._task is not None
            owner._task.cancel()
        assert (await running.shard())["published"] <= published < COUNT
        monkeypatch.setattr(ShardProducer, "publish", working)
        async with running.engine("second", group=running.settings.group + "2"):
            await assert_all_published(running)


@pytest.mark.usefixtures("small_batches")
async def test_who_hung_looks_whose_the_shard_is_before_going_on(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restore its entries are not in the log any more, and must not reach consumers."""
    monkeypatch.setattr(publisher, "PROOF_MAX_AGE", timedelta(seconds=0.2))
    working = ShardProducer.publish
    first: list[ShardProducer] = []
    sent_by_first: list[int] = []
    woken = asyncio.Event()

    async def publish(self: ShardProducer, records: Sequence[EventRecord]) -> None:
        await working(self, records)
        if not first:
            first.append(self)
            await woken.wait()
        if self is first[0]:
            sent_by_first.append(records[-1].position + 1)

    monkeypatch.setattr(ShardProducer, "publish", publish)
    await load(running)
    async with running.engine():
        await running.decided()
        await running.database.execute("UPDATE shards SET lease = gen_random_uuid()")
        await asyncio.sleep(0.3)  # until what it knows of its lease is old
        woken.set()
        await assert_all_published(running)
    assert len(sent_by_first) == 1
    assert sent_by_first[0] < COUNT


async def test_unpublished_entries_are_bounded_and_deciding_resumes(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = ShardProducer.publish
    takes_events = False

    async def publish(self: ShardProducer, records: Sequence[EventRecord]) -> None:
        if not takes_events:
            raise KafkaError("no leader")
        await working(self, records)

    monkeypatch.setattr(ShardProducer, "publish", publish)
    monkeypatch.setattr(publisher, "_BACK_OFF_S", (0.1,))
    await load(running)
    async with running.engine(unpublished_entries_max=20, batch_commands_max=5):
        await running.until("SELECT position >= 20 FROM shards WHERE shard = 0")
        # what was decided already while the bound was reached may follow
        await asyncio.sleep(0.5)
        assert (await running.shard())["position"] <= 25
        takes_events = True
        await running.decided()
        await assert_all_published(running)


async def test_stopping_has_a_deadline_while_nothing_can_be_published(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(ShardProducer, "publish", stuck)
    async with running.engine() as engine:
        await load(running, 3)
        await running.decided()
        started = time.monotonic()
        await engine.stop()
        assert time.monotonic() - started < 8
    monkeypatch.undo()
    async with running.engine():
        await assert_all_published(running)


async def test_a_stopped_engine_leaves_the_row_up_to_date(running: Service) -> None:
    async with running.engine() as engine:
        await load(running)
        await running.decided()
        await engine.stop()
        row = await running.shard()
        assert row["published"] == row["position"] == COUNT + 1


async def test_dead_letters_are_published_cut_to_fit_even_after_a_crash(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = ShardProducer.publish_dead_letter

    async def stuck(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(ShardProducer, "publish_dead_letter", stuck)
    payload, key = b"\xff" * 600_000, b"k" * 300_000
    async with running.engine() as engine:
        await running.send(payload, key=key)
        await running.send(None, key=b"k")
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
        for owner in engine.assignment._owners.values():
            assert owner._task is not None
            owner._task.cancel()
    assert await running.database.fetchval("SELECT count(published_at) FROM dead_letters") == 0
    monkeypatch.setattr(ShardProducer, "publish_dead_letter", working)
    async with running.engine():
        await running.until("SELECT count(published_at) = 2 FROM dead_letters")
    kept = await running.database.fetchrow('SELECT * FROM dead_letters WHERE "offset" = 0')
    assert (kept["payload"], kept["key"]) == (payload, key)
    records = (await running.records(running.settings.dead_letters_topic))[0]
    large, tombstone = [msgspec.json.decode(record.value, type=DeadLetter) for record in records]
    assert (large.offset, large.reason) == (0, "payload_too_large")
    assert large.payload == payload[:PUBLISHED_BYTES_MAX]
    assert large.payload_bytes == len(payload)
    assert large.key == records[0].key == key[:PUBLISHED_KEY_BYTES_MAX]
    assert (tombstone.offset, tombstone.reason) == (1, "null_value")
    assert (tombstone.payload, tombstone.key, tombstone.payload_bytes) == (None, b"k", 0)
