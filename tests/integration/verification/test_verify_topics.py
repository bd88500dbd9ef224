"""The topics beside the log: one outcome for every record, and the same entries on both sides."""

import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from api.install import install
from cli.stack import Stack
from engine.settings import Settings
from engine.topology import home
from projections.verification import Proof, TopicsUnreachableError, verify, verify_through
from schemas.entries import Entry
from schemas.events import Debited
from tests.support.databases import fresh_database
from tests.support.engines import Service, service
from tests.support.findings import check, failed
from tests.support.history import HistoryBuilder
from tests.support.payloads import create, credit, debit, payload, topup
from tests.support.proven import Proven, project
from tests.support.topics import TopicNames, create_topics, delete_topics

PARTITIONS = 2
IN_TRANSACTIONS = "wal_n0"
Records = dict[int, list[ConsumerRecord]]


@dataclass
class Run:
    """What a real engine has left behind, with all the records there are."""

    settings: Settings
    database: asyncpg.Connection
    entries: list[Entry]
    commands: Records
    events: Records

    async def verify(self, **changes: Any) -> Proof:
        return await verify_through(self.database, self.settings.model_copy(update=changes))

    def proven(self, shard: int) -> Proven:
        history = HistoryBuilder(shard)
        history.entries = [entry for entry in self.entries if entry.shard == shard]
        return Proven(self.database, history)


@pytest_asyncio.fixture(scope="module")
async def finished(stack: Stack) -> AsyncIterator[Run]:
    """An engine has decided commands of every fate, and is gone."""
    names = TopicNames.unique()
    await create_topics(stack.kafka_bootstrap, names, PARTITIONS)
    async with fresh_database(stack.database_url) as url:
        await install(url)
        settings = Settings(
            database_url=url,
            kafka_bootstrap=stack.kafka_bootstrap,
            **names.settings,
            session_timeout_ms=3_000,
        )
        async with service(settings, PARTITIONS) as running:
            async with running.engine():
                await _send(running)
                await running.decided()
                await running.until("SELECT bool_and(published = position) FROM shards")
                await running.until(
                    "SELECT sum(length(hashes)) / 32 >= (SELECT count(*) FROM log)"
                    " FROM tiles WHERE level = 0"
                )
            await project(running.database)
            yield Run(
                settings,
                running.database,
                await running.entries(),
                await running.records(names.commands),
                await running.published(),
            )
    await delete_topics(stack.kafka_bootstrap, names)


async def _send(running: Service) -> None:
    for number in range(12):
        wallet = f"wal_n{number}"
        place = home(wallet, PARTITIONS)
        await running.send_commands(
            *(create(wallet), topup(wallet, "t1", 1_000), credit(wallet, "c1", 5, priority=1)),
            *(debit(wallet, "d1", 10), debit(wallet, "d1", 10), debit(wallet, "d1", 11)),
            *(debit(wallet, "d2", 10**6), debit(wallet, "d2", 10**6)),
            *(debit(wallet, "d3", 1, merchant_id="mch_other"), payload("freeze", wallet, "f1")),
            *(debit(wallet, "d3", 1, merchant_id="mch_other"), debit(wallet, "d4", 1)),
            wallet_id=wallet,
        )
        await running.send(b"not JSON", partition=place, key=wallet.encode())
        # a producer that hashes in another way
        await running.send(topup(wallet, "stray", 3), partition=1 - place)
        await running.send(topup(wallet, "t1", 1_000), partition=1 - place)
    await running.send(None, partition=0, key=IN_TRANSACTIONS.encode())
    await _send_in_transactions(running)


async def _send_in_transactions(running: Service) -> None:
    """Markers, and a command that was taken back, take up offsets that no consumer sees."""
    producer = AIOKafkaProducer(
        bootstrap_servers=running.settings.kafka_bootstrap,
        transactional_id=running.settings.group,
    )
    await producer.start()
    topic, place = running.settings.commands_topic, home(IN_TRANSACTIONS, PARTITIONS)
    for number, end in enumerate([producer.abort_transaction, producer.commit_transaction] * 2):
        await producer.begin_transaction()
        sent = await producer.send_and_wait(
            topic,
            topup(IN_TRANSACTIONS, f"transaction{number}", 7),
            key=IN_TRANSACTIONS.encode(),
            partition=place,
        )
        await end()
        if end == producer.commit_transaction:
            running.sent.append((sent.partition, sent.offset))
    await producer.stop()


@pytest_asyncio.fixture
async def run(finished: Run) -> AsyncIterator[Run]:
    """Changes to the database end with the test."""
    transaction = finished.database.transaction(isolation="repeatable_read")
    await transaction.start()
    yield finished
    await transaction.rollback()


@pytest_asyncio.fixture
async def copied(
    run: Run, kafka_bootstrap: str, topic_names: TopicNames
) -> Callable[[Records], Any]:
    """Writes records into a topic of the test's own and gives its name."""
    await create_topics(kafka_bootstrap, topic_names, PARTITIONS)

    async def copy(records: Records) -> str:
        producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, acks="all")
        await producer.start()
        for partition, sequence in records.items():
            for record in sequence:
                await producer.send(
                    topic_names.events,
                    record.value,
                    key=record.key,
                    partition=partition,
                    timestamp_ms=record.timestamp,
                    headers=list(record.headers),
                )
        await producer.stop()
        return topic_names.events

    return copy


def changed(records: Records, change: Callable[[list[ConsumerRecord]], Sequence[Any]]) -> Records:
    """With the records of partition 0 changed."""
    return {**records, 0: list(change(list(records[0])))}


def findings(proof: Proof, name: str) -> list[Any]:
    assert not proof.passed
    assert {"commands_topic", "events_topic"} & failed(proof) == {name}
    return check(proof, name).findings


async def test_every_record_has_one_outcome_and_every_entry_its_record(run):
    proof = await run.verify()
    assert proof.passed, proof.first
    aborted = 2
    records = sum(map(len, run.commands.values())) - aborted
    assert check(proof, "commands_topic").checked == records
    assert check(proof, "events_topic").checked == len(run.entries)
    assert check(proof, "set_aside").checked == 12 * 3 + 1
    assert check(proof, "tiles").checked == len(run.entries)


async def test_verify_by_settings_reads_the_same(run):
    proof = await verify(run.settings)
    assert proof.passed, proof.first
    (without,) = (
        {c.name for c in proof.checks}
        - {c.name for c in (await verify(run.settings, kafka=False)).checks}
        - {"events_topic"}
    )
    assert without == "commands_topic"


async def test_a_copied_topic_passes_as_the_first_did(run, copied):
    proof = await run.verify(events_topic=await copied(run.events))
    assert proof.passed, proof.first
    proof = await run.verify(commands_topic=run.settings.events_topic)
    assert not proof.passed


@pytest.mark.parametrize("kind", ["commands_topic", "events_topic"])
async def test_a_topic_that_does_not_reach_back_is_compared_as_far_as_it_does(
    run, copied, kafka_bootstrap, kind
):
    # of commands, only in a partition without markers does a copy get the same offsets
    other = 1 - home(IN_TRANSACTIONS, PARTITIONS)
    records = {other: (run.events if kind == "events_topic" else run.commands)[other]}
    topic = await copied(records)
    await _delete_records(kafka_bootstrap, topic, other, before=5)
    settings = run.settings.model_copy(update={kind: topic})
    proof = await verify_through(run.database, settings, [other])
    assert proof.passed, proof.first
    (note,) = check(proof, kind).notes
    assert re.search("reaches back to (offset|position) 5", note)
    assert check(proof, kind).checked == len(records[other]) - 5


async def _delete_records(bootstrap: str, topic: str, partition: int, *, before: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.delete_records(
        {TopicPartition(topic, partition): RecordsToDelete(before_offset=before)}
    )
    await admin.close()


async def test_a_dead_letter_that_is_gone(run):
    offset = next(record.offset for record in run.commands[0] if record.value == b"not JSON")
    await run.database.execute(
        'DELETE FROM dead_letters WHERE shard = 0 AND "offset" = $1', offset
    )
    (finding,) = findings(await run.verify(), "commands_topic")
    assert (finding.shard, finding.offset) == (0, offset)


async def test_a_forward_that_is_gone(run):
    offset = await run.database.fetchval('SELECT min("offset") FROM forwards WHERE shard = 1')
    await run.database.execute('DELETE FROM forwards WHERE shard = 1 AND "offset" = $1', offset)
    (finding,) = findings(await run.verify(), "commands_topic")
    assert (finding.shard, finding.offset) == (1, offset)


async def test_a_forward_to_where_nothing_came_of_it(run):
    stray = next(e for e in run.entries if getattr(e.event, "reference", "") == "stray")
    proven = run.proven(stray.shard)
    await proven.edit_entry(stray.position, body_digest="00" * 16)
    found = findings_of(await run.verify(), "commands_topic")
    assert any("forwarded" in finding.message for finding in found)


async def test_a_forward_to_a_partition_that_is_not_home(run):
    await run.database.execute("UPDATE forwards SET home = shard")
    assert len(findings(await run.verify(), "commands_topic")) == 24


async def test_a_record_with_two_outcomes(run):
    entry = next(entry for entry in run.entries if entry.shard == 0)
    await run.database.execute(
        """
        INSERT INTO dead_letters (shard, "offset", reason, detail, occurred_at)
        VALUES (0, $1, 'decider_failed', '', now())
        """,
        entry.offset,
    )
    (finding,) = findings(await run.verify(), "commands_topic")
    assert finding.offset == entry.offset
    assert "several" in finding.message


async def test_an_entry_whose_record_says_something_else(run):
    """The debit of 10 is one of 11 in the topic that is compared."""
    debited = next(e for e in run.entries if isinstance(e.event, Debited))
    proven = run.proven(debited.shard)
    await proven.edit_entry(debited.position, body_digest="11" * 16)
    found = findings_of(await run.verify(), "commands_topic")
    assert found[0].position == debited.position
    assert found[0].offset == debited.offset


def findings_of(proof: Proof, name: str) -> list[Any]:
    return check(proof, name).findings


async def test_an_entry_without_a_record(run):
    last = max(entry.offset or 0 for entry in run.entries if entry.shard == 0)
    entry = next(e for e in run.entries if e.shard == 0 and e.offset == last)
    await run.database.execute("UPDATE shards SET next_offset = next_offset + 5 WHERE shard = 0")
    proven = run.proven(0)
    await proven.edit_entry(entry.position, offset=last + 3)
    found = findings_of(await run.verify(), "commands_topic")
    assert any("recreated or truncated" in finding.message for finding in found)
    assert any(finding.offset == last for finding in found)


@pytest.fixture
def with_other_commands(run, copied):
    """Verifies the partition without markers, where a copy has the same offsets, on a changed copy."""
    shard = 1 - home(IN_TRANSACTIONS, PARTITIONS)

    async def verify_changed(place: int, value: bytes) -> list[Any]:
        records = list(run.commands[shard])
        records[place] = _with(records[place], value=value)
        topic = await copied({shard: records})
        settings = run.settings.model_copy(update={"commands_topic": topic})
        proof = await verify_through(run.database, settings, [shard])
        return findings(proof, "commands_topic")

    return shard, verify_changed


async def test_a_commands_topic_that_is_another(run, with_other_commands):
    """Filled as far as the first was, with the same outcomes, but the last record is another."""
    shard, verify_changed = with_other_commands
    last = run.commands[shard][-1]
    (finding,) = await verify_changed(-1, last.value + b" ")
    assert finding.offset == last.offset
    assert "not the one that the shard's row remembers" in finding.message


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (b"not JSON either", "no command"),
        (topup("wal_x", "t1", 1_000), "for wallet wal_x"),
        (topup("wal_n0", "t1", 1_000), "for wallet wal_n0"),
    ],
)
async def test_an_entry_of_a_record_that_says_something_else(
    run, with_other_commands, value, what
):
    shard, verify_changed = with_other_commands
    entry = next(e for e in run.entries if e.shard == shard and isinstance(e.event, Debited))
    found = await verify_changed(entry.offset, value)
    assert (found[0].position, found[0].offset) == (entry.position, entry.offset)
    assert what in found[0].message


async def test_entries_in_a_shard_where_their_wallets_are_not_at_home(run):
    await run.database.execute("UPDATE topology SET partitions = 1")
    found = findings(await run.verify(), "commands_topic")
    assert {finding.shard for finding in found} == {0, 1}
    assert any("not at home" in finding.message for finding in found)


async def test_a_dead_letter_for_a_record_that_was_taken_back(run):
    place = home(IN_TRANSACTIONS, PARTITIONS)
    seen = {entry.offset for entry in run.entries if entry.shard == place}
    aborted = next(
        record.offset
        for record in run.commands[place]
        if b"transaction" in (record.value or b"") and record.offset not in seen
    )
    await run.database.execute(
        """
        INSERT INTO dead_letters (shard, "offset", reason, detail, occurred_at)
        VALUES ($1, $2, 'malformed_json', '', now())
        """,
        *(place, aborted),
    )
    (finding,) = findings(await run.verify(), "commands_topic")
    assert finding.offset == aborted
    assert "does not have" in finding.message


async def test_a_topic_that_ends_too_early(run, copied):
    other = await copied(changed(run.commands, lambda records: records[:-3]))
    found = findings_of(await run.verify(commands_topic=other), "commands_topic")
    assert "recreated or truncated" in found[0].message


async def test_an_entry_with_other_bytes_than_its_event(run):
    position = run.proven(0).position_of(Debited)
    proven = run.proven(0)
    await proven.edit_entry(position, description="changed")
    await proven.cover_up()
    found = findings_of(await run.verify(), "events_topic")
    assert [(finding.shard, finding.position) for finding in found] == [(0, position)]


async def test_an_event_that_is_missing_stops_every_consumer(run, copied):
    other = await copied(changed(run.events, lambda records: [*records[:7], *records[8:]]))
    (finding,) = findings(await run.verify(events_topic=other), "events_topic")
    assert (finding.shard, finding.position) == (0, 7)


async def test_events_sent_again_and_out_of_order_by_the_rule_of_consumers(run, copied):
    """7 fails, 8 and 9 land, and 5 to the end are sent again."""
    other = await copied(
        changed(run.events, lambda records: [*records[:7], *records[8:10], *records[5:]])
    )
    proof = await run.verify(events_topic=other)
    assert proof.passed, proof.first


async def test_events_swapped_and_not_sent_again(run, copied):
    other = await copied(changed(run.events, lambda r: [*r[:7], r[8], r[7], *r[9:]]))
    (finding,) = findings(await run.verify(events_topic=other), "events_topic")
    assert (finding.shard, finding.position) == (0, 8)


async def test_an_event_sent_again_with_other_bytes(run, copied):
    def repeat(records: list[ConsumerRecord]) -> list[Any]:
        return [*records, _with(records[4], value=records[4].value + b" ")]

    (finding,) = findings(
        await run.verify(events_topic=await copied(changed(run.events, repeat))), "events_topic"
    )
    assert finding.position == 4
    assert "second time" in finding.message


@pytest.mark.parametrize(
    ("change", "what"),
    [({"key": b"wal_x"}, "key"), ({"headers": ()}, "headers"), ({"value": b"{}"}, "no entry")],
)
async def test_an_event_under_another_key_or_headers(run, copied, change, what):
    def spoil(records: list[ConsumerRecord]) -> list[Any]:
        return [*records[:3], _with(records[3], **change), *records[4:]]

    found = findings(
        await run.verify(events_topic=await copied(changed(run.events, spoil))), "events_topic"
    )
    assert what in found[0].message


TRACEPARENT = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


@pytest.mark.parametrize(
    ("more", "passes"),
    [([TRACEPARENT], True), ([TRACEPARENT, TRACEPARENT], False), ([("ce_id", b"x")], False)],
)
async def test_an_event_that_was_published_in_a_trace_has_that_header_and_no_other(
    run, copied, more, passes
):
    def trace(records: list[ConsumerRecord]) -> list[Any]:
        return [
            *records[:3],
            _with(records[3], headers=[*records[3].headers, *more]),
            *records[4:],
        ]

    proof = await run.verify(events_topic=await copied(changed(run.events, trace)))

    assert failed(proof) == (set() if passes else {"events_topic"})


@dataclass
class _Copy:
    value: bytes | None
    key: bytes | None
    headers: Any
    timestamp: int


def _with(record: ConsumerRecord, **changes: Any) -> _Copy:
    fields = {name: getattr(record, name) for name in ("value", "key", "headers", "timestamp")}
    return _Copy(**(fields | changes))


async def test_an_event_of_another_shard(run, copied):
    def stray(records: list[ConsumerRecord]) -> list[Any]:
        return [*records[:3], run.events[1][3], *records[3:]]

    (finding,) = findings(
        await run.verify(events_topic=await copied(changed(run.events, stray))), "events_topic"
    )
    assert "no entry of this shard" in finding.message


async def test_events_said_to_be_published_that_are_not(run, copied):
    other = await copied(changed(run.events, lambda records: records[:-2]))
    (finding,) = findings(await run.verify(events_topic=other), "events_topic")
    assert finding.position == len(run.events[0]) - 2
    await run.database.execute("UPDATE shards SET published = position - 2 WHERE shard = 0")
    assert (await run.verify(events_topic=other)).passed


async def test_an_event_that_the_log_does_not_have(run, copied):
    proven = run.proven(0)
    last = len(run.events[0]) - 1
    await proven.tamper("DELETE FROM log WHERE shard = 0 AND position = $1", last)
    found = findings_of(await run.verify(), "events_topic")
    assert [(finding.shard, finding.position) for finding in found] == [(0, last)]


async def test_a_topic_that_is_not_there_is_said_so(run):
    with pytest.raises(TopicsUnreachableError, match="no topic nowhere"):
        await run.verify(events_topic="nowhere")


async def test_kafka_that_is_away_is_said_so_at_once(run):
    begun = time.monotonic()
    with pytest.raises(TopicsUnreachableError, match="--no-kafka"):
        await run.verify(kafka_bootstrap="127.0.0.1:1")
    assert time.monotonic() - begun < 60
