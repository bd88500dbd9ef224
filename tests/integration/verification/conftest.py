"""A database that verifies, for each test to spoil in a transaction that is rolled back."""

import copy
from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from api.install import install
from cli.stack import Stack
from tests.support.databases import connection_to, fresh_database
from tests.support.history import HistoryBuilder
from tests.support.proven import Proven, busy_history


@pytest_asyncio.fixture(scope="session")
async def written(stack: Stack) -> AsyncIterator[tuple[asyncpg.Connection, HistoryBuilder]]:
    history = busy_history()
    async with fresh_database(stack.database_url) as url, connection_to(url) as connection:
        await install(url)
        await Proven.write(connection, history)
        yield connection, history


@pytest_asyncio.fixture
async def proven(
    written: tuple[asyncpg.Connection, HistoryBuilder],
) -> AsyncIterator[Proven]:
    connection, history = written
    # the isolation level that verification asks for within it
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    yield Proven(connection, copy.deepcopy(history))
    await transaction.rollback()
