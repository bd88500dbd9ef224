"""The proof that a database holds what it should, and that the topics agree with it.

proof = await verify(settings, on_progress=print)
assert proof.passed, proof.first
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from asyncpg import Connection
from msgspec import Struct

from engine.kafka import client_options
from engine.replay import FINAL_AFTER, partition_count
from engine.settings import Settings
from engine.topics import describe_topics
from engine.wallet import fingerprint
from projections.comparison import Source, live_sources
from projections.verification.commands_topic import CommandsTopicCheck
from projections.verification.errors import TopicsUnreachableError, VerificationError
from projections.verification.events_topic import EventsTopicCheck
from projections.verification.findings import CheckResult, Finding, Findings
from projections.verification.frozen import freeze
from projections.verification.guards import check_guards
from projections.verification.models import ModelsCheck, check_catalog
from projections.verification.money import MoneyLine, add_up
from projections.verification.queries import QUERIES
from projections.verification.shard import ShardProof, ShardVerification
from projections.verification.topic_partition import PartitionReader

_FETCH_WAIT_MS: Final = 20


class Progress(Struct, frozen=True):
    """`done` of `total` things of one stage have been looked at; `total` is what is known so far."""

    stage: str
    done: int
    total: int


class Proof(Struct, frozen=True, kw_only=True):
    """What was verified, up to where, and what does not hold.

    `instant` is the moment of the `books`: no entry of that time can come any more. `first` names
    the first bad entry, or if no entry is bad what else is wrong; None if everything holds.
    """

    instant: datetime
    shards: list[ShardProof]
    checks: list[CheckResult]
    books: list[MoneyLine]
    first: Finding | None

    @property
    def passed(self) -> bool:
        """Whether everything holds."""
        return self.first is None


OnProgress = Callable[[Progress], None]


async def verify(
    settings: Settings,
    *,
    shards: Collection[int] | None = None,
    kafka: bool = True,
    on_progress: OnProgress = lambda _: None,
) -> Proof:
    """Verifies the database, or these shards of it, and with `kafka` the topics.

    Each shard is taken as it stands when its turn comes and read in short statements, so the
    engines can go on meanwhile. Raises VerificationError or what asyncpg raises if it can't be
    carried out; what does not hold is in the proof.
    """
    async with _connected(settings) as connection:
        return await verify_through(connection, settings if kafka else None, shards, on_progress)


async def verify_through(
    connection: Connection,
    topics: Settings | None = None,
    shards: Collection[int] | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Proof:
    """As `verify`, through the caller's connection, and the topics only if their settings are given.

    In a transaction the connection sees what that has changed; it has to be REPEATABLE READ.
    """
    verification = _Verification(connection, await _final_instant(connection), on_progress)
    await verification.database(shards)
    if topics is not None:
        await verification.topics(topics)
    return verification.proof()


async def _final_instant(connection: Connection) -> datetime:
    """The latest moment that no new entry can have: its clock is the database's."""
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return now - FINAL_AFTER


class _Verification:
    def __init__(self, connection: Connection, instant: datetime, on_progress: OnProgress) -> None:
        self._connection = connection
        self._instant = instant
        self._on_progress = on_progress
        self._findings = Findings()
        self._proofs: list[ShardProof] = []
        self._books: list[list[MoneyLine]] = []

    def proof(self) -> Proof:
        return Proof(
            instant=self._instant,
            shards=self._proofs,
            checks=self._findings.results(),
            books=add_up(self._books),
            first=self._findings.first(),
        )

    async def database(self, shards: Collection[int] | None) -> None:
        connection, findings = self._connection, self._findings
        chosen = await self._choose(shards)
        await check_guards(connection, findings)
        sources = await live_sources(connection)
        if shards is None:
            await check_catalog(connection, findings, sources, chosen)
        for shard in chosen:
            await self._shard(shard, sources)

    async def _choose(self, wanted: Collection[int] | None) -> list[int]:
        rows = await self._connection.fetch(QUERIES["shards"])
        for row in rows:
            if not row["has_row"] and (wanted is None or row["shard"] in wanted):
                self._findings.report(
                    "positions",
                    "the shard has entries, and no row in the table of shards",
                    shard=row["shard"],
                    position=0,
                )
        known = [row["shard"] for row in rows if row["has_row"]]
        if wanted is not None and (unknown := sorted(set(wanted) - set(known))):
            raise VerificationError(
                f"There is no shard {', '.join(map(str, unknown))}; there are "
                f"{', '.join(map(str, known)) or 'none, for no engine has started yet'}."
            )
        return known if wanted is None else sorted(wanted)

    async def _shard(self, shard: int, sources: Sequence[Source]) -> None:
        connection, findings = self._connection, self._findings
        # the models first: what they have taken in is then in the frozen shard
        models = await ModelsCheck.freeze(connection, findings, shard, sources)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            frozen = await freeze(connection, shard, fingerprint())
        verification = ShardVerification(findings, frozen, models, self._instant)
        counter = self._counter(f"shard {shard}", frozen.size)
        proof, books = await verification.run(connection, counter)
        self._proofs.append(proof)
        self._books.append(books)

    async def topics(self, settings: Settings) -> None:
        partitions = await partition_count(self._connection)
        if partitions is None:
            return
        async with _reaching_topics(settings) as consumer:
            # once for all: aiokafka's `stop` can hang right after a new assignment
            topics = (settings.commands_topic, settings.events_topic)
            shards = [proof.shard for proof in self._proofs]
            places = [TopicPartition(topic, shard) for topic in topics for shard in shards]
            consumer.assign(places)
            consumer.pause(*places)
            for proof in self._proofs:
                commands = PartitionReader(consumer, settings.commands_topic, proof.shard)
                check = CommandsTopicCheck(self._findings, self._connection, proof, partitions)
                await check.run(commands, self._counter(str(commands), proof.next_offset))
                events = PartitionReader(consumer, settings.events_topic, proof.shard)
                await EventsTopicCheck(self._findings, self._connection, proof).run(
                    events, self._counter(str(events), proof.published)
                )

    def _counter(self, stage: str, total: int) -> Callable[[int], None]:
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            self._on_progress(Progress(stage, done, max(total, done)))

        count(0)
        return count


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(
        settings.database_url,
        timeout=settings.database_timeout_ms / 1000,
        server_settings={
            "application_name": "wallet-verify",
            "default_transaction_read_only": "on",
            "jit": "off",
        },
    )
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _reaching_topics(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer outside of any group, once the topics are known to be there."""
    consumer = AIOKafkaConsumer(
        **client_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        # a fetch that waits for records past the end holds up what is asked next
        fetch_max_wait_ms=_FETCH_WAIT_MS,
    )
    try:
        await _check_topics_exist(settings)
        await consumer.start()
        yield consumer
    except KafkaError as error:
        raise TopicsUnreachableError(
            f"Kafka at {settings.kafka_bootstrap} does not answer ({error}): check "
            "WALLET_KAFKA_BOOTSTRAP, or leave the topics out with --no-kafka."
        ) from error
    finally:
        await consumer.stop()


async def _check_topics_exist(settings: Settings) -> None:
    topics = await describe_topics(settings)
    for name in (settings.commands_topic, settings.events_topic):
        if name not in topics:
            raise TopicsUnreachableError(
                f"Kafka at {settings.kafka_bootstrap} has no topic {name}: check "
                "WALLET_KAFKA_BOOTSTRAP, WALLET_COMMANDS_TOPIC and WALLET_EVENTS_TOPIC."
            )
