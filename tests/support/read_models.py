"""Read models in tests: filled with and without a projector, and held against a replay."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from engine.settings import Settings
from projections.catalog import find_all_live
from projections.comparison import compare_shard, live_sources
from projections.models import PROJECTIONS, Generation, Projection
from projections.process import keep_up
from projections.projector import read_behind, take_in


async def catch_up(
    connection: asyncpg.Connection,
    projections: list[Projection] | None = None,
    entries_max: int = 5_000,
) -> None:
    """Bring the live generations up to the end of the log."""
    wanted = list(PROJECTIONS.values()) if projections is None else projections
    live = await find_all_live(connection, wanted)
    models = [Generation(each, live[each.name].generation) for each in wanted]
    while ranges := await read_behind(connection, models, entries_max):
        for entries in ranges:
            await take_in(connection, entries)


async def differences(connection: asyncpg.Connection, shard: int | None = None) -> list[str]:
    """What of the live models is not what a replay gives, in all shards or one."""
    sources = await live_sources(connection)
    rows = await connection.fetch("SELECT shard FROM shards ORDER BY shard")
    shards = [row["shard"] for row in rows] if shard is None else [shard]
    return [
        str(difference)
        for shard in shards
        async for difference in compare_shard(connection, shard, sources)
    ]


async def positions(connection: asyncpg.Connection) -> dict[tuple[str, int], int]:
    """How far readers see each model, by name and shard."""
    rows = await connection.fetch("SELECT name, shard, position FROM live_checkpoints")
    return {(row["name"], row["shard"]): row["position"] for row in rows}


async def is_caught_up(connection: asyncpg.Connection) -> bool:
    """Whether every live model has every entry of the log."""
    return bool(
        await connection.fetchval("SELECT bool_and(position = log_position) FROM live_checkpoints")
    )


@asynccontextmanager
async def keeping_up(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    """A projector at work, which is stopped at the end."""
    stop = asyncio.Event()
    working = asyncio.create_task(keep_up(settings, stop))
    try:
        yield working
    finally:
        stop.set()
        await working
