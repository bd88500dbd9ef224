"""The read models' own limit: the same rows copied into the same tables, and nothing else to do."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO

import asyncpg

from projections.models import PROJECTIONS, Projection

_GENERATION = 1

Copies = dict[str, bytes]
"""The rows of each model, by its name, as COPY writes them in its binary format."""


async def copy_out(connection: asyncpg.Connection) -> Copies:
    """What readers see now, in the order in which it was put in."""
    copies = {}
    for projection in PROJECTIONS.values():
        generation = await connection.fetchval(
            "SELECT generation FROM projections WHERE name = $1 AND live", projection.name
        )
        rows = BytesIO()
        await connection.copy_from_table(
            projection.table(generation), output=rows, format="binary"
        )
        copies[projection.name] = rows.getvalue()
    return copies


async def copy_in_s(server_url: str, copies: Copies, *, at_once: bool) -> float:
    """Seconds to copy all rows into new tables and to index them.

    One model after the other, or all at once, on a connection each.
    """
    async with _empty_database(server_url) as url:
        connections = [await asyncpg.connect(url) for _ in copies]
        try:
            models = [PROJECTIONS[name] for name in copies]
            for connection, model in zip(connections, models, strict=True):
                await connection.execute(model.create_table(_GENERATION))
            await connections[0].execute("CHECKPOINT")
            start = time.perf_counter()
            work = [
                _copy_in(connection, model, copies[model.name])
                for connection, model in zip(connections, models, strict=True)
            ]
            if at_once:
                await asyncio.gather(*work)
            else:
                for each in work:
                    await each
            return time.perf_counter() - start
        finally:
            for connection in connections:
                await connection.close()


async def _copy_in(connection: asyncpg.Connection, model: Projection, rows: bytes) -> None:
    table = model.table(_GENERATION)
    await connection.copy_to_table(table, source=BytesIO(rows), format="binary")
    if indexes := model.create_indexes(_GENERATION):
        await connection.execute(indexes)
    await connection.execute(f"ANALYZE {table}")


@asynccontextmanager
async def _empty_database(server_url: str) -> AsyncIterator[str]:
    admin = await asyncpg.connect(server_url)
    try:
        await admin.execute("CREATE DATABASE copied_models")
        try:
            yield f"{server_url.rpartition('/')[0]}/copied_models"
        finally:
            await admin.execute("DROP DATABASE copied_models WITH (FORCE)")
    finally:
        await admin.close()
