"""`wallet status`: where each shard stands."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg
from asyncpg import Connection, Record
from msgspec import Struct

from cli.arguments import JsonOption
from cli.database import connected
from cli.errors import CommandError
from cli.kafka import reaching_kafka
from cli.output import note, print_json, print_table, say
from engine.events_topic import published_place
from engine.inspection import TopicInspector
from engine.settings import Settings, load_settings
from engine.sql import load_queries

_KAFKA_S_MAX: Final = 30.0

_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))
_Answer = TypeVar("_Answer")


class ShardStatus(Struct, frozen=True, kw_only=True):
    """A shard, as printed. What Kafka has to be asked for is null while it can't be.

    `events_position` comes after the last entry on the events topic; if the shard's own is less,
    the database has lost history. `lag` counts undecided records, `unpublished` entries that are not on the events topic, and
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
    events_position: int | None
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
    be reached. A shard that stopped says why, and what to do. Where the events
    topic has more than the log, the database lost history, as by a restore.

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
    async with connected(settings) as connection, _asking_kafka(settings) as topics:
        topology = await connection.fetchrow(_QUERIES["topology"])
        partitions = topology["partitions"] if topology else 0
        # before the shards are read, or what is published meanwhile would be more than they have
        published = await topics.events_positions(partitions)
        shards = await connection.fetch(_QUERIES["shards"])
        models = await _models(connection)
        letters = await connection.fetch(_QUERIES["open_dead_letters"])
        ends = await topics.ends(partitions)
    open_letters = {row["shard"]: row["letters"] for row in letters}
    return Status(
        commands_topic=topology["commands_topic"] if topology else None,
        events_topic=topology["events_topic"] if topology else None,
        partitions=topology["partitions"] if topology else None,
        shards=[
            _shard(
                row,
                ends.get(row["shard"]),
                published.get(row["shard"]),
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


@asynccontextmanager
async def _asking_kafka(settings: Settings) -> AsyncIterator["_Topics"]:
    inspector = TopicInspector(settings)
    try:
        yield _Topics(settings, inspector)
    finally:
        await inspector.close()


class _Topics:
    """What Kafka says of each shard: nothing while it can't be asked, which is told once."""

    def __init__(self, settings: Settings, inspector: TopicInspector) -> None:
        self._settings = settings
        self._inspector = inspector
        self._is_away = False

    async def ends(self, partitions: int) -> dict[int, int]:
        """Where each partition of the commands topic ends."""
        return await self._each(partitions, self._end)

    async def events_positions(self, partitions: int) -> dict[int, int | None]:
        """What comes after the last entry that each partition of the events topic has."""
        return await self._each(partitions, self._events_position)

    async def _each(
        self, partitions: int, ask: Callable[[int], Awaitable[_Answer]]
    ) -> dict[int, _Answer]:
        if self._is_away:
            return {}
        try:
            with reaching_kafka(self._settings):
                async with asyncio.timeout(_KAFKA_S_MAX):
                    return {shard: await ask(shard) for shard in range(partitions)}
        except CommandError as error:
            self._is_away = True
            note(f"wallet: {error} Until then the lag is unknown.")
            return {}

    async def _end(self, shard: int) -> int:
        _, end = await self._inspector.ends(self._settings.commands_topic, shard)
        return end

    async def _events_position(self, shard: int) -> int | None:
        record = await self._inspector.last_record(self._settings.events_topic, shard)
        place = None if record is None else published_place(record.value)
        return None if place is None else place.position + 1


def _shard(
    row: Record,
    end_offset: int | None,
    events_position: int | None,
    models: dict[str, int],
    open_dead_letters: int,
) -> ShardStatus:
    fields: dict[str, Any] = dict(row)
    return ShardStatus(
        **fields,
        end_offset=end_offset,
        events_position=events_position,
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
    lost = [shard for shard in found.shards if shard.position < (shard.events_position or 0)]
    if lost:
        say(
            f"\nThe database lacks history: {found.events_topic} has more of"
            f" {', '.join(_named(shard) for shard in lost)}. Stop the engines, then `wallet"
            " roll-forward`; unless you restored the database, see first where its other copy is."
        )
    for shard in found.shards:
        if shard.halted:
            say(f"\nShard {shard.shard} has stopped: {shard.halted}")


def _named(shard: ShardStatus) -> str:
    return f"shard {shard.shard} (up to {shard.events_position:,}, and not {shard.position:,})"
