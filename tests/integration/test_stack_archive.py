"""The embedded PostgreSQL archives its WAL, and goes back to a time, as the documentation has it."""

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from cli.stack.ports import free_port
from cli.stack.postgres import _PROGRAMS, Postgres
from tests.support.databases import connection_to
from tests.support.documents import code_blocks

DOCUMENT = "docs/operations.md"
MOMENT = "2026-05-24 10:00:00+00"


@pytest_asyncio.fixture
async def directory() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wallet-archive-") as name:
        yield Path(name)


def paste(directory: Path, script: str, port: int) -> None:
    path = f"{_PROGRAMS}:{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-euc", script],
        check=True,
        cwd=directory,
        env={**os.environ, "PATH": path, "PGPORT": str(port)},
        timeout=60,
    )


async def write(url: str, text: str) -> str:
    """Write a row; the time after it."""
    async with connection_to(url) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (text text)")
        await connection.execute("INSERT INTO kept VALUES ($1)", text)
        return str(await connection.fetchval("SELECT clock_timestamp()::text"))


async def test_it_goes_back_to_a_time_and_takes_writes_again(directory: Path) -> None:
    archive, back_up, restore = code_blocks(DOCUMENT, "### Trying it here")
    assert archive == "wallet dev --wal-archive .wallet/wal"
    port = free_port()
    postgres = Postgres(
        directory / ".wallet" / "postgres",
        port=port,
        log_path=directory / "postgres.log",
        run_dir=directory / "run",
        wal_archive=directory / ".wallet" / "wal",
    )
    url = postgres.database_url
    await postgres.start()
    try:
        await write(url, "in the base")
        paste(directory, back_up, port)
        moment = await write(url, "before")
        await write(url, "after")
        await postgres.stop()
        *commands, last = restore.splitlines()
        assert last == "wallet dev --infra-only"
        paste(directory, "\n".join(commands).replace(MOMENT, moment), port)
        await postgres.start()
        await write(url, "once more")
        async with connection_to(url) as connection:
            rows = await connection.fetch("SELECT text FROM kept")
    finally:
        await postgres.kill()
    assert [row["text"] for row in rows] == ["in the base", "before", "once more"]
