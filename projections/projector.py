"""Filling a generation of a read model from the log: one short transaction per shard and range."""

from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from engine.sql import load_queries
from projections.models import Projection

RANGE_ENTRIES_MAX: Final = 5_000
"""So many entries of the log at most are taken in by one transaction."""

_QUERIES = load_queries(Path(__file__).parent / "sql" / "projector.sql")


class Range(NamedTuple):
    """The next entries of a shard that a generation lacks: [start, stop).

    The log had `size` entries when the range was read.
    """

    shard: int
    start: int
    stop: int
    size: int


async def read_behind(
    connection: asyncpg.Connection,
    projection: Projection,
    generation: int,
    entries_max: int = RANGE_ENTRIES_MAX,
) -> list[Range]:
    """The next range of every shard that the generation is behind on, by shard."""
    rows = await connection.fetch(_QUERIES["behind"], projection.name, generation, entries_max)
    for row in rows:
        if row["is_new"]:
            await connection.execute(
                _QUERIES["add_checkpoint"], projection.name, generation, row["shard"]
            )
    return [Range(row["shard"], row["start"], row["stop"], row["size"]) for row in rows]


async def take_in(
    connection: asyncpg.Connection, projection: Projection, generation: int, entries: Range
) -> bool:
    """Take in a range and move the checkpoint with it, in one transaction.

    False, with nothing done, if the checkpoint is elsewhere: another projector was there first,
    or the generation is gone.
    """
    async with connection.transaction(isolation="read_committed"):
        return await advance(connection, projection, generation, entries)


async def advance(
    connection: asyncpg.Connection, projection: Projection, generation: int, entries: Range
) -> bool:
    """As `take_in`, inside the caller's transaction."""
    # first of all, so that two projectors queue here; and every statement after it stops at
    # `stop`, since each sees more of the log than the one before
    moved = await connection.fetchval(
        _QUERIES["advance"],
        projection.name,
        generation,
        entries.shard,
        entries.start,
        entries.stop,
    )
    if moved is None:
        return False
    for statement in projection.apply(generation):
        await connection.execute(statement, entries.shard, entries.start, entries.stop)
    return True
