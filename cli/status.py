"""`wallet status`: where each shard stands."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from asyncpg import Connection, Record
from msgspec import Struct

from cli.arguments import JsonOption
from cli.database import connected
from cli.errors import CommandError
from cli.kafka import reaching_kafka
from cli.output import note, print_json, print_table, say
from engine.kafka import client_options
from engine.settings import Settings, load_settings
from engine.sql import load_queries

_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))


class ShardStatus(Struct, frozen=True, kw_only=True):
    """A shard, as printed. `lag` and `end_offset` are null while Kafka can't be asked.

    `lag` counts undecided records, `unpublished` entries that are not on the events topic, and
    `projection_lag` entries that the read model furthest behind lacks; `models` has all of them.
    """

    shard: int
    owner: str | None
    epoch: int
    claimed_at: datetime | None
    next_offset: int
    end_offset: int | None
    lag: int | None
    position: int
    published: int
    unpublished: int
    projection_lag: int | None
    models: dict[str, int]
    open_dead_letters: int
    halted: str | None


class Status(Struct, frozen=True, kw_only=True):
    """All of them. The topics and their partitions are null before the first engine's start."""

    commands_topic: str | None
    events_topic: str | None
    partitions: int | None
    shards: list[ShardStatus]


def status(json: JsonOption = False) -> None:
    """Print where each shard stands: who owns it, and how far it and its readers are.

    `lag` is how many commands wait to be decided; it is unknown while Kafka can't
    be reached. A shard that stopped says why, and what to do.

    For example:
      wallet status
      wallet status --json | jq '.shards[].lag'
    """
    found = asyncio.run(_read(load_settings()))
    if json:
        print_json(found)
    else:
        _print(found)


async def _read(settings: Settings) -> Status:
    async with connected(settings) as connection:
        shards = await connection.fetch(_QUERIES["shards"])
        topology = await connection.fetchrow(_QUERIES["topology"])
        models = await _models(connection)
        letters = await connection.fetch(_QUERIES["open_dead_letters"])
    ends = await _end_offsets(settings, topology["partitions"]) if topology else {}
    open_letters = {row["shard"]: row["letters"] for row in letters}
    return Status(
        commands_topic=topology["commands_topic"] if topology else None,
        events_topic=topology["events_topic"] if topology else None,
        partitions=topology["partitions"] if topology else None,
        shards=[
            _shard(
                row,
                ends.get(row["shard"]),
                models.get(row["shard"], {}),
                open_letters.get(row["shard"], 0),
            )
            for row in shards
        ],
    )


async def _models(connection: Connection) -> dict[int, dict[str, int]]:
    lags: defaultdict[int, dict[str, int]] = defaultdict(dict)
    try:
        rows: Sequence[Record] = await connection.fetch(_QUERIES["models"])
    except asyncpg.UndefinedTableError:  # a database that only an engine needs
        rows = []
    for row in rows:
        lags[row["shard"]][row["name"]] = row["lag"]
    return lags


async def _end_offsets(settings: Settings, partitions: int) -> dict[int, int]:
    """Where each partition of the commands topic ends; nothing while Kafka can't be asked."""
    places = [TopicPartition(settings.commands_topic, number) for number in range(partitions)]
    try:
        with reaching_kafka(settings):
            consumer = AIOKafkaConsumer(
                **client_options(settings), request_timeout_ms=5_000, enable_auto_commit=False
            )
            try:
                await consumer.start()
                ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
            finally:
                await consumer.stop()
    except CommandError as error:
        note(f"wallet: {error} Until then the lag is unknown.")
        return {}
    return {place.partition: offset for place, offset in ends.items()}


def _shard(
    row: Record, end_offset: int | None, models: dict[str, int], open_dead_letters: int
) -> ShardStatus:
    fields: dict[str, Any] = dict(row)
    return ShardStatus(
        **fields,
        end_offset=end_offset,
        lag=None if end_offset is None else end_offset - row["next_offset"],
        unpublished=row["position"] - row["published"],
        projection_lag=max(models.values(), default=None),
        models=models,
        open_dead_letters=open_dead_letters,
    )


def _print(found: Status) -> None:
    if not found.shards:
        say("No engine has been started on this database yet.")
        return
    numbers = ("epoch", "next offset", "lag", "position", "published", "projection lag")
    print_table(
        ("shard", "owner", *numbers),
        (
            (
                shard.shard,
                shard.owner,
                shard.epoch,
                shard.next_offset,
                "unknown" if shard.lag is None else shard.lag,
                shard.position,
                shard.published,
                shard.projection_lag,
            )
            for shard in found.shards
        ),
        right=("shard", *numbers),
    )
    letters = sum(shard.open_dead_letters for shard in found.shards)
    if letters:
        say(f"\nOpen dead letters: {letters:,}; `wallet dead-letters list` names them.")
    for shard in found.shards:
        if shard.halted:
            say(f"\nShard {shard.shard} has stopped: {shard.halted}")
