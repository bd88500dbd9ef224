"""Whose a wallet is: from its first entry in the log, and remembered from then on."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from api.errors import ResourceMissingError
from api.wallets.ownership import WalletOwners
from engine.migrate import migrate
from schemas.ids import Owner
from tests.support.history import HistoryBuilder
from tests.support.query_api import OWNER

STRANGERS = [Owner("mch_1", "sandbox"), Owner("mch_2", "live")]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    await migrate(database_url)
    pool = asyncpg.create_pool(database_url, min_size=0, max_size=2)
    await pool
    yield pool
    await pool.close()


async def _register(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "INSERT INTO topology (commands_topic, events_topic, partitions) VALUES ('c', 'e', 1)"
    )


async def _write(pool: asyncpg.Pool, history: HistoryBuilder) -> None:
    async with pool.acquire() as connection:
        await history.write(connection)


async def test_the_owner_passes_and_strangers_find_nothing(pool: asyncpg.Pool) -> None:
    await _register(pool)
    await _write(pool, HistoryBuilder().create("wal_a"))
    owners = WalletOwners(pool)
    for _ in range(2):
        await owners.check(OWNER, "wal_a")
        for stranger in STRANGERS:
            with pytest.raises(ResourceMissingError, match="wallet resource 'wal_a'"):
                await owners.check(stranger, "wal_a")


async def test_a_wallet_that_was_missing_is_found_once_it_is_made(pool: asyncpg.Pool) -> None:
    owners = WalletOwners(pool)
    with pytest.raises(ResourceMissingError):
        await owners.check(OWNER, "wal_a")  # no engine has ever started
    await _register(pool)
    with pytest.raises(ResourceMissingError):
        await owners.check(OWNER, "wal_a")
    await _write(pool, HistoryBuilder().create("wal_a"))
    await owners.check(OWNER, "wal_a")


async def test_what_is_known_is_not_asked_again_up_to_the_bound(pool: asyncpg.Pool) -> None:
    await _register(pool)
    await _write(pool, HistoryBuilder().create("wal_a").create("wal_b").create("wal_c"))
    owners = WalletOwners(pool, known_max=2)
    for wallet_id in ("wal_a", "wal_b", "wal_a", "wal_c"):
        await owners.check(OWNER, wallet_id)
    await pool.execute("ALTER TABLE log RENAME TO hidden")
    for known in ("wal_a", "wal_c"):
        await owners.check(OWNER, known)
    with pytest.raises(Exception, match="no read models"):
        await owners.check(OWNER, "wal_b")
