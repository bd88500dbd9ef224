"""Migrating: once each, in order, whole or not at all, from as many processes as like."""

import asyncio
import sys
from hashlib import sha256

import asyncpg
import pytest
import pytest_asyncio

from engine.migrate import (
    EditedMigrationError,
    MigrationFailedError,
    TableInUseError,
    migrate,
)
from projections.install import DIRECTORIES, install
from projections.models import PROJECTIONS
from tests.support.databases import connection_to
from tests.support.polling import poll_async

INSTALL = """
import asyncio, json, sys
from api.install import install
print(json.dumps(asyncio.run(install(sys.argv[1]))))
"""


@pytest_asyncio.fixture
async def connection(database_url):
    async with connection_to(database_url) as connected:
        yield connected


def write(directory, **files):
    """`<directory>/migrations` with these files."""
    migrations = directory / "migrations"
    migrations.mkdir(parents=True, exist_ok=True)
    for name, sql in files.items():
        (migrations / f"{name.removeprefix('n')}.sql").write_text(sql)
    return migrations


async def test_files_are_applied_by_number_directory_after_directory(
    tmp_path, database_url, connection
):
    first = write(
        tmp_path / "first",
        n0002_b="INSERT INTO a VALUES ('0002')",
        n0001_a="CREATE TABLE a (n text); INSERT INTO a VALUES ('0001')",
        n0010_c="INSERT INTO a VALUES ('0010')",
    )
    second = write(tmp_path / "second", n0001_d="INSERT INTO a VALUES ('second')")

    assert await migrate(database_url, [first, second]) == [
        "first/0001_a.sql",
        "first/0002_b.sql",
        "first/0010_c.sql",
        "second/0001_d.sql",
    ]
    assert [row["n"] for row in await connection.fetch("TABLE a")] == [
        *("0001", "0002", "0010"),
        "second",
    ]
    recorded = await connection.fetchval(
        "SELECT sha256 FROM migrations WHERE name = 'second/0001_d.sql'"
    )
    assert recorded == sha256(b"INSERT INTO a VALUES ('second')").hexdigest()


async def test_only_what_is_new_is_applied(tmp_path, database_url, connection):
    directory = write(tmp_path / "x", n0001_a="CREATE TABLE a ()")
    await migrate(database_url, [directory])
    assert await migrate(database_url, [directory]) == []

    write(tmp_path / "x", n0002_b="CREATE TABLE b ()")
    assert await migrate(database_url, [directory]) == ["x/0002_b.sql"]


async def test_what_only_a_newer_release_knows_is_left_alone(tmp_path, database_url):
    newer = write(tmp_path / "newer" / "x", n0001_a="CREATE TABLE a ()", n0002_b="SELECT 1")
    older = write(tmp_path / "older" / "x", n0001_a="CREATE TABLE a ()")
    await migrate(database_url, [newer])

    assert await migrate(database_url, [older]) == []


async def test_an_edited_file_is_refused_before_anything_is_applied(
    tmp_path, database_url, connection
):
    directory = write(tmp_path / "x", n0002_b="CREATE TABLE b ()")
    await migrate(database_url, [directory])
    write(tmp_path / "x", n0001_a="CREATE TABLE a ()", n0002_b="CREATE TABLE b () ")

    with pytest.raises(EditedMigrationError, match=r"x/0002_b.sql was changed .* new file"):
        await migrate(database_url, [directory])
    assert await connection.fetchval("SELECT to_regclass('a')") is None


async def test_a_bad_file_leaves_nothing_and_the_ones_before_it_stay(
    tmp_path, database_url, connection
):
    directory = write(
        tmp_path / "x",
        n0001_a="CREATE TABLE a ()",
        n0002_b="CREATE TABLE b (); INSERT INTO missing VALUES (1)",
        n0003_c="CREATE TABLE c ()",
    )
    with pytest.raises(MigrationFailedError, match=r'x/0002_b.sql .*"missing" does not exist'):
        await migrate(database_url, [directory])
    assert await connection.fetchval("SELECT to_regclass('b')") is None

    write(tmp_path / "x", n0002_b="CREATE TABLE b ()")
    assert await migrate(database_url, [directory]) == ["x/0002_b.sql", "x/0003_c.sql"]


async def test_a_file_is_applied_and_recorded_together(tmp_path, database_url, connection):
    taken = "INSERT INTO migrations (name, sha256) VALUES ('x/0001_a.sql', '')"
    directory = write(tmp_path / "x", n0001_a=f"CREATE TABLE a (); {taken}")

    with pytest.raises(MigrationFailedError, match="duplicate key"):
        await migrate(database_url, [directory])
    assert await connection.fetchval("SELECT to_regclass('a')") is None


async def test_many_at_once_apply_each_file_once(tmp_path, database_url, connection):
    # only with the lock does one see what the other did: both would create the table
    slow = "SELECT pg_sleep(0.05); CREATE TABLE a (n integer)"
    directory = write(tmp_path / "x", n0001_a=slow, n0002_b="INSERT INTO a VALUES (1)")

    done = await asyncio.gather(*(migrate(database_url, [directory]) for _ in range(8)))

    assert sorted(map(len, done)) == [0] * 7 + [2]
    assert await connection.fetchval("SELECT count(*) FROM a") == 1


async def test_one_that_dies_lets_the_next_one_work(tmp_path, database_url, connection):
    stuck = write(tmp_path / "x", n0001_a="CREATE TABLE a (); SELECT pg_sleep(600)")
    dying = asyncio.create_task(migrate(database_url, [stuck]))
    sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    await poll_async(lambda: connection.fetchval(sleeping))
    await connection.execute(f"SELECT pg_terminate_backend(({sleeping}))")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await dying

    mended = write(tmp_path / "x", n0001_a="CREATE TABLE a ()")
    assert await migrate(database_url, [mended]) == ["x/0001_a.sql"]


async def test_one_that_waits_for_a_reader_holds_up_nobody(tmp_path, database_url, connection):
    first = write(tmp_path / "x", n0001_a="CREATE TABLE a (n integer)")
    await migrate(database_url, [first])
    write(tmp_path / "x", n0002_b="ALTER TABLE a ADD COLUMN b integer")
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'a'::regclass)"
    async with connection_to(database_url) as reading:
        async with reading.transaction():
            await reading.execute("SELECT FROM a")
            migrating = asyncio.create_task(migrate(database_url, [first]))
            for number in range(3):
                await poll_async(lambda: connection.fetchval(waits))
                # behind the one that waits; without a bound that is until the reader ends
                await connection.execute("INSERT INTO a VALUES ($1)", number, timeout=10)
            assert not migrating.done()
        assert await migrating == ["x/0002_b.sql"]
    assert await connection.fetchval("SELECT count(b) + count(*) FROM a") == 3


async def test_one_that_never_gets_its_lock_gives_up(
    tmp_path, database_url, connection, monkeypatch
):
    monkeypatch.setattr("engine.migrate._LOCKED_S_MAX", 0.0)
    directory = write(tmp_path / "x", n0001_a="CREATE TABLE a (n integer)")
    await migrate(database_url, [directory])
    write(tmp_path / "x", n0002_b="CREATE TABLE c (); ALTER TABLE a ADD COLUMN b integer")
    async with connection.transaction():
        await connection.execute("SELECT FROM a")
        with pytest.raises(TableInUseError, match=r"x/0002_b.sql was not applied"):
            await migrate(database_url, [directory])
    assert await connection.fetchval("SELECT to_regclass('c')") is None
    assert await migrate(database_url, [directory]) == ["x/0002_b.sql"]


async def test_many_processes_set_up_one_database(database_url, connection):
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", INSTALL, database_url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    outputs = [(await process.communicate())[0] for process in processes]

    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(output != b"[]\n" for output in outputs) == [False, False, False, True]
    live = await connection.fetch("SELECT name, generation FROM projections WHERE live")
    assert {tuple(row) for row in live} == {(name, 1) for name in PROJECTIONS}
    for name in PROJECTIONS:
        assert await connection.fetch(f"SELECT * FROM {name}") == []


async def test_the_projects_own_migrations_are_all_applied_and_only_once(database_url):
    done = await install(database_url)

    assert done[: -len(PROJECTIONS)] == [
        f"{directory.parent.name}/{path.name}"
        for directory in DIRECTORIES
        for path in sorted(directory.iterdir())
    ]
    assert done[-len(PROJECTIONS) :] == [f"{name}_1" for name in PROJECTIONS]
    assert await install(database_url) == []
