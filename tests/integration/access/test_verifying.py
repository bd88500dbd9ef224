"""What verifying costs, what may be remembered of it, and what ends that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

import api.access.verified
from api.access.keys import create_key, revoke_key, roll_key
from api.secret_keys import SecretKey, SecretKeys
from projections.listening import Listener
from tests.support.authentication import MERCHANT, NEW, OLD, ApiProcess
from tests.support.polling import poll

KEYS = SecretKeys((OLD,))
DAY = timedelta(days=1)


async def new_key(connection, keys=KEYS, **options):
    made = await create_key(connection, keys, MERCHANT, "live", label="tests", **options)
    return made.client_id, made.client_secret


@asynccontextmanager
async def hearing(process: ApiProcess, database_url: str) -> AsyncIterator[None]:
    listener = Listener(database_url)
    process.verified.subscribe_to(listener)
    task = asyncio.create_task(listener.run())
    try:
        await poll(lambda: process.verified.changes > 0)
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_whatever_is_wrong_costs_one_read_and_the_same_hashes(
    connection, database_url, rows, monkeypatch
) -> None:
    client_id, secret = await new_key(connection)
    rolled, _ = await new_key(connection)
    assert await roll_key(connection, KEYS, rolled, DAY)
    revoked = await new_key(connection)
    await revoke_key(connection, revoked[0])
    expired = await new_key(connection, expires_at=datetime.now(UTC) - DAY)
    hashed: list[int] = []
    sign = SecretKey.sign
    monkeypatch.setattr(
        SecretKey, "sign", lambda key, text: hashed.append(len(text)) or sign(key, text)
    )
    process = ApiProcess(rows, NEW, OLD)
    costs = {}
    async with hearing(process, database_url):
        # what is remembered of the good one makes its wrong ones no quicker
        assert await process.admits(client_id, secret)
        for name, credentials in {
            "unknown": ("0" * 12, "0" * 64),
            "not even an id": ("someone", "0" * 64),
            "wrong": (client_id, "0" * 64),
            "wrong, with two that are right": (rolled, "0" * 64),
            "revoked": revoked,
            "expired": expired,
        }.items():
            process.rows.asked.clear()
            hashed.clear()
            assert not await process.admits(*credentials), name
            costs[name] = (tuple(process.rows.asked), tuple(hashed))
    assert set(costs.values()) == {(("read",), (64, 64))}, costs


async def test_a_success_is_remembered_for_a_second(connection, database_url, rows) -> None:
    key = await new_key(connection, scopes=["credits:read"], allowed_networks=["203.0.113.0/24"])
    process = ApiProcess(rows)
    async with hearing(process, database_url):
        first = await process.admit(*key)
        assert (first.owner, first.scopes) == ((MERCHANT, "live"), {"credits:read"})
        assert first.allowed_networks == ("203.0.113.0/24",)
        process.clock.now_s += 0.999
        assert await process.admit(*key) == first
        assert process.rows.asked == ["read"]
        process.clock.now_s += 0.001
        assert await process.admit(*key) == first
        assert process.rows.asked == ["read", "read"]


async def test_nothing_is_remembered_longer_than_it_is_good(
    connection, database_url, rows, monkeypatch
) -> None:
    monkeypatch.setattr(api.access.verified, "AGE_S_MAX", 3600)
    key = await new_key(connection, expires_at=datetime.now(UTC) + timedelta(seconds=60))
    process = ApiProcess(rows)
    async with hearing(process, database_url):
        assert await process.admits(*key)
        process.clock.now_s += 60
        await process.admits(*key)
        assert process.rows.asked == ["read", "read"]


async def poll_refused(process: ApiProcess, key: tuple[str, str]) -> None:
    async with asyncio.timeout(60):
        while await process.admits(*key):  # noqa: ASYNC110 - nothing tells when it is over
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("end", ["revoke", "roll"])
async def test_a_key_that_changes_is_forgotten_at_once(
    connection, database_url, rows, end
) -> None:
    key, other = await new_key(connection), await new_key(connection)
    process = ApiProcess(rows)
    async with hearing(process, database_url):
        assert await process.admits(*key)
        assert await process.admits(*other)
        if end == "revoke":
            await revoke_key(connection, key[0])
        else:
            rolled = await roll_key(connection, KEYS, key[0], timedelta())
            assert await process.admits(rolled.client_id, rolled.client_secret)
        # the clock stands, so that age is not what ends it
        await poll_refused(process, key)
        process.rows.asked.clear()
        assert await process.admits(*other)
        assert process.rows.asked == []


async def test_a_change_that_is_not_committed_ends_nothing(connection, database_url, rows) -> None:
    key = await new_key(connection)
    process = ApiProcess(rows)
    async with hearing(process, database_url):
        transaction = connection.transaction()
        await transaction.start()
        await revoke_key(connection, key[0])
        assert await process.admits(*key)
        await transaction.rollback()
        assert await process.admits(*key)


async def test_what_was_read_before_a_change_is_not_remembered_after_it(
    connection, database_url, rows
) -> None:
    key = await new_key(connection)
    process = ApiProcess(rows)
    async with hearing(process, database_url):
        fetch = process.rows.fetch

        async def fetch_and_be_overtaken(*query):
            found = await fetch(*query)
            changes = process.verified.changes
            await revoke_key(connection, key[0])
            await poll(lambda: process.verified.changes > changes)
            return found

        process.rows.fetch = fetch_and_be_overtaken
        assert await process.admits(*key)
        process.rows.fetch = fetch
        assert not await process.admits(*key)


async def test_nothing_is_remembered_while_changes_are_not_heard(
    connection, database_url, rows
) -> None:
    key = await new_key(connection)
    process = ApiProcess(rows)
    assert await process.admits(*key)
    assert await process.admits(*key)
    assert process.rows.asked == ["read", "read"]
    async with hearing(process, database_url):
        assert await process.admits(*key)
        changes = process.verified.changes
        assert await connection.fetchval(
            "SELECT bool_and(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'wallet-api-listener'"
        )
        await poll(lambda: process.verified.changes > changes)
        await connection.execute("UPDATE api_keys SET revoked_at = now()")
        assert not await process.admits(*key)


async def test_what_is_remembered_is_bounded(connection, database_url, rows, monkeypatch) -> None:
    monkeypatch.setattr(api.access.verified, "ENTRIES_MAX", 2)
    first, second, third = [await new_key(connection) for _ in range(3)]
    process = ApiProcess(rows)
    async with hearing(process, database_url):
        for key in (first, second, second, third):
            assert await process.admits(*key)
        process.rows.asked.clear()
        for key in (second, third):
            assert await process.admits(*key)
        assert process.rows.asked == []
        assert await process.admits(*first)
        assert process.rows.asked == ["read"]
