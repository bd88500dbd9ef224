"""Setting up a database: every migration, and the first generation of each read model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from engine.migrate import MIGRATIONS as ENGINE_MIGRATIONS
from engine.migrate import apply_migrations, migrating
from projections.catalog import create_generation, create_indexes, is_installed, show
from projections.models import PROJECTIONS, Projection

DIRECTORIES: Final = (ENGINE_MIGRATIONS, Path(__file__).with_name("migrations"))
"""Of the migrations, in the order that they are applied in."""


async def install(database_url: str, directories: Sequence[Path] = DIRECTORIES) -> list[str]:
    """Bring the database up to this release; gives the names of what was done.

    Safe from many processes at once, and with everything running. Raises as engine.migrate does.
    """
    connection = await asyncpg.connect(database_url)
    try:
        async with migrating(connection):
            done = await apply_migrations(connection, directories)
            for projection in PROJECTIONS.values():
                if not await is_installed(connection, projection):
                    done.append(await _create_first(connection, projection))
            return done
    finally:
        await connection.close()


async def _create_first(connection: asyncpg.Connection, projection: Projection) -> str:
    async with connection.transaction():
        generation = await create_generation(connection, projection)
        await create_indexes(connection, projection, generation)
        await show(connection, projection, generation, before=None)
    return projection.table(generation)
