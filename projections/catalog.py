"""Generations: which there are of a read model, which one readers see, and making new ones."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import asyncpg

from engine.sql import load_queries
from projections.errors import NotInstalledError, UnknownProjectionError
from projections.models import PROJECTIONS, Projection

_QUERIES = load_queries(Path(__file__).parent / "sql" / "catalog.sql")


class Live(NamedTuple):
    """The generation that readers see, and the version of the SQL that fills it."""

    generation: int
    version: int


def find_projection(name: str) -> Projection:
    """Raises UnknownProjectionError, which names those there are."""
    try:
        return PROJECTIONS[name]
    except KeyError:
        raise UnknownProjectionError(
            f"There is no read model {name!r}; there are {', '.join(PROJECTIONS)}."
        ) from None


async def find_live(connection: asyncpg.Connection, projection: Projection) -> Live:
    """Raises NotInstalledError if there is none."""
    return (await find_all_live(connection, [projection]))[projection.name]


async def find_all_live(
    connection: asyncpg.Connection, projections: Iterable[Projection]
) -> dict[str, Live]:
    """By the models' names. Raises NotInstalledError if there is none of one."""
    names = [projection.name for projection in projections]
    try:
        rows = await connection.fetch(_QUERIES["live"], names)
    except asyncpg.UndefinedTableError:
        rows = []
    found = {row["name"]: Live(row["generation"], row["version"]) for row in rows}
    for name in names:
        if name not in found:
            raise NotInstalledError(
                f"The database has no read model {name}; run `wallet migrate`."
            )
    return found


async def is_installed(connection: asyncpg.Connection, projection: Projection) -> bool:
    """Whether readers see any generation of it."""
    return bool(await connection.fetch(_QUERIES["live"], [projection.name]))


async def create_generation(connection: asyncpg.Connection, projection: Projection) -> int:
    """A new, empty generation that nobody sees; call it inside a transaction."""
    generation: int = await connection.fetchval(
        _QUERIES["add"], projection.name, projection.version
    )
    await connection.execute(projection.create_table(generation))
    return generation


async def create_indexes(
    connection: asyncpg.Connection, projection: Projection, generation: int
) -> None:
    """What readers need and filling does not."""
    if statements := projection.create_indexes(generation):
        await connection.execute(statements)


async def show(
    connection: asyncpg.Connection, projection: Projection, generation: int, before: Live | None
) -> None:
    """Let readers see it instead of `before`, which is dropped; call it inside a transaction."""
    if before is not None:
        if before.version != projection.version:
            # CREATE OR REPLACE would refuse other columns
            await connection.execute(f"DROP VIEW {projection.name}")
        await connection.execute(projection.create_view(generation))
        await drop_generation(connection, projection, before.generation)
    else:
        await connection.execute(projection.create_view(generation))
    await connection.execute(_QUERIES["show"], projection.name, generation)


async def drop_generation(
    connection: asyncpg.Connection, projection: Projection, generation: int
) -> None:
    """Its table and checkpoints; call it inside a transaction."""
    await connection.execute(f"DROP TABLE {projection.table(generation)}")
    await connection.execute(_QUERIES["remove"], projection.name, generation)


async def drop_unfinished(connection: asyncpg.Connection, projection: Projection) -> None:
    """Every generation that nobody sees."""
    for row in await connection.fetch(_QUERIES["not_live"], projection.name):
        async with connection.transaction():
            await drop_generation(connection, projection, row["generation"])


async def lock_vectors(
    connection: asyncpg.Connection, projection: Projection
) -> dict[int, dict[int, int]]:
    """Stop all projectors of the model until the transaction ends.

    Gives how far each generation has come in each shard where it has begun.
    """
    vectors: dict[int, dict[int, int]] = {
        row["generation"]: {}
        for row in await connection.fetch(_QUERIES["lock_generations"], projection.name)
    }
    for row in await connection.fetch(_QUERIES["lock_checkpoints"], projection.name):
        vectors[row["generation"]][row["shard"]] = row["position"]
    return vectors
