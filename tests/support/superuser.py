"""Connections of the test database's superuser, whom the embedded server does not let in."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from cli.stack import Stack
from tests.support.polling import poll_async

_ADMITTED = "host all postgres 127.0.0.1/32 trust\n"


@asynccontextmanager
async def superuser_connection(stack: Stack, url: str) -> AsyncIterator[asyncpg.Connection]:
    """To the database at this URL of the stack; nobody is let in any more afterwards."""
    address = urlsplit(url).netloc.rpartition("@")[2]
    (access,) = (stack.data_dir / "postgres").rglob("pg_hba.conf")
    before = access.read_text()
    access.write_text(before + _ADMITTED)
    stack.postgres.process.send_signal(signal.SIGHUP)
    admitted: list[asyncpg.Connection] = []

    async def is_admitted() -> bool:
        try:
            other = urlsplit(url)._replace(netloc=f"postgres@{address}").geturl()
            admitted.append(await asyncpg.connect(other, ssl=False))
        except asyncpg.InvalidAuthorizationSpecificationError:
            return False
        return True

    try:
        await poll_async(is_admitted)
        yield admitted[0]
    finally:
        access.write_text(before)
        stack.postgres.process.send_signal(signal.SIGHUP)
        for connection in admitted:
            await connection.close()
