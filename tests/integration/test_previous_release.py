"""What the first release's processes need of a database is there after the migrations since.

`wallet migrate` comes first, so they work on the new tables until the last of them is replaced.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from api.install import install
from tests.support.databases import connection_to
from tests.support.released import Release

RELEASE = "0.1.0"
STATEMENTS = Path(__file__).parents[1] / "fixtures" / "released" / f"{RELEASE}.statements.json"
_COLUMNS = """
SELECT format('%s.%s %s', table_name, column_name, data_type) AS name,
       is_nullable = 'NO' AS is_required,
       column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER' AS is_never_filled
  FROM information_schema.columns WHERE table_schema = 'public'
"""
_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
_DEMANDS = """
SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
 WHERE conrelid::regclass::text = ANY ($1) AND contype <> 'n'
UNION ALL
SELECT indexdef FROM pg_indexes
 WHERE schemaname = 'public' AND tablename = ANY ($1) AND indexdef LIKE 'CREATE UNIQUE %'
UNION ALL
SELECT pg_get_triggerdef(oid) FROM pg_trigger
 WHERE NOT tgisinternal AND tgrelid::regclass::text = ANY ($1)
"""


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """As the release left it."""
    async with connection_to(database_url) as connection:
        await connection.execute(Release.read(RELEASE).dump)
        # pg_dump's statements empty it
        await connection.execute("SET search_path = public")
        yield connection


@pytest.mark.parametrize("migrated", [False, True], ids=["as it was", "migrated"])
async def test_every_statement_of_the_release_can_be_planned(
    database: asyncpg.Connection, database_url: str, *, migrated: bool
) -> None:
    if migrated:
        await install(database_url)
    refused = {}
    statements = json.loads(STATEMENTS.read_text())
    for statement in statements:
        try:
            await database.execute(f"EXPLAIN (GENERIC_PLAN) {statement}")
        except asyncpg.PostgresError as error:
            refused[statement] = str(error)
    assert refused == {}
    tables = {row[0] for row in await database.fetch(_TABLES)}
    assert {"shards", "log", "dead_letters"} <= tables


async def test_its_tables_have_every_column_and_demand_nothing_new(
    database: asyncpg.Connection, database_url: str
) -> None:
    tables = [row[0] for row in await database.fetch(_TABLES)]
    columns = {row["name"]: row for row in await database.fetch(_COLUMNS)}
    demands = {row[0] for row in await database.fetch(_DEMANDS, tables)}
    await install(database_url)

    now = {row["name"]: row for row in await database.fetch(_COLUMNS)}
    assert columns.keys() - now.keys() == set()
    required = {
        name
        for name, row in now.items()
        if name.partition(".")[0] in tables
        and row["is_required"]
        and row["is_never_filled"]
        and not (name in columns and columns[name]["is_required"])
    }
    assert required == set(), "what it inserts lacks these"
    assert {row[0] for row in await database.fetch(_DEMANDS, tables)} - demands == set()
