"""Secrets: what is kept of them, how they are rolled, and how the server's own keys are."""

import asyncio
import re
from datetime import timedelta
from hashlib import sha256

from api.access.keys import PURPOSE, create_key, find_key, list_keys, revoke_key, roll_key
from api.secret_keys import SecretKeys
from tests.support.authentication import MERCHANT, NEW, OLD, ApiProcess

KEYS = SecretKeys((OLD,))
HOUR = timedelta(hours=1)


async def new_key(connection, keys=KEYS, **options):
    return await create_key(connection, keys, MERCHANT, "live", label="tests", **options)


async def test_only_a_keyed_hash_is_kept(connection, rows) -> None:
    key = await new_key(connection)
    assert re.fullmatch("[0-9a-f]{12}", key.client_id)
    assert re.fullmatch("[0-9a-f]{64}", key.client_secret)
    assert key.client_secret not in repr(key)
    (kept,) = await connection.fetch("SELECT * FROM api_key_secrets")
    server_key = KEYS.for_purpose(PURPOSE)[0]
    assert kept["hash"] == server_key.sign(key.client_secret.encode())
    assert kept["hash_key"] == server_key.name
    everything = await connection.fetchval(
        "SELECT string_agg(k::text || s::text, '') FROM api_keys AS k, api_key_secrets AS s"
    )
    plain = sha256(key.client_secret.encode()).hexdigest()
    for secret in (key.client_secret, plain, OLD, OLD.encode().hex()):
        assert secret not in everything
    assert not await ApiProcess(rows, NEW).admits(key.client_id, key.client_secret)


async def test_a_roll_keeps_the_old_secret_for_the_overlap(connection, rows) -> None:
    key = await new_key(connection)
    rolled = await roll_key(connection, KEYS, key.client_id, HOUR)
    assert rolled.client_id == key.client_id
    assert rolled.client_secret != key.client_secret
    process = ApiProcess(rows)
    assert await process.admits(key.client_id, key.client_secret)
    assert await process.admits(key.client_id, rolled.client_secret)
    left = await connection.fetchval("SELECT $1 - clock_timestamp()", rolled.previous_until)
    assert HOUR - timedelta(minutes=5) < left <= HOUR
    await connection.execute(
        "UPDATE api_key_secrets SET expires_at = expires_at - $1::interval", HOUR
    )
    assert not await process.admits(key.client_id, key.client_secret)
    assert await process.admits(key.client_id, rolled.client_secret)


async def test_an_overlap_is_not_prolonged_by_the_next_roll(connection, rows) -> None:
    first = await new_key(connection)
    second = await roll_key(connection, KEYS, first.client_id, timedelta(seconds=0.3))
    third = await roll_key(connection, KEYS, first.client_id, HOUR)
    assert third.previous_until > second.previous_until
    process = ApiProcess(rows)
    async with asyncio.timeout(60):
        while await process.admits(  # noqa: ASYNC110 - nothing tells when it is over
            first.client_id, first.client_secret
        ):
            await asyncio.sleep(0.02)
    assert await process.admits(first.client_id, second.client_secret)
    assert await process.admits(first.client_id, third.client_secret)
    await roll_key(connection, KEYS, first.client_id, timedelta())
    for key in (second, third):
        assert not await process.admits(first.client_id, key.client_secret)
    # ended ones don't pile up
    await roll_key(connection, KEYS, first.client_id, timedelta())
    assert await connection.fetchval("SELECT count(*) FROM api_key_secrets") == 2


async def test_a_key_that_is_over_can_not_be_rolled(connection, rows) -> None:
    key, unused = await new_key(connection), await new_key(connection)
    assert await revoke_key(connection, key.client_id)
    assert not await revoke_key(connection, key.client_id)
    assert not await revoke_key(connection, "0" * 12)
    await connection.execute(
        "UPDATE api_keys SET expires_at = clock_timestamp() WHERE client_id = $1", unused.client_id
    )
    for client_id in (key.client_id, unused.client_id, "0" * 12):
        assert await roll_key(connection, KEYS, client_id, HOUR) is None
    assert (await find_key(connection, key.client_id)).status == "revoked"
    assert (await find_key(connection, unused.client_id)).status == "expired"
    assert await find_key(connection, "0" * 12) is None
    listed = [key.client_id for key in await list_keys(connection, MERCHANT)]
    assert listed == [key.client_id, unused.client_id]


async def test_two_rolls_at_once_leave_both_new_secrets_good(
    connection, database_url, rows
) -> None:
    key = await new_key(connection)

    async def roll():
        async with rows.acquire() as own:
            return await roll_key(own, KEYS, key.client_id, HOUR)

    rolled = await asyncio.gather(roll(), roll())
    process = ApiProcess(rows)
    for made in (key, *rolled):
        assert await process.admits(key.client_id, made.client_secret)
    (usable,) = [
        row
        for row in await connection.fetch("SELECT expires_at FROM api_key_secrets")
        if row["expires_at"] is None
    ]
    assert usable["expires_at"] is None


async def test_the_servers_keys_are_rotated_without_anybody_noticing(connection, rows) -> None:
    used, unused = await new_key(connection), await new_key(connection)
    credentials = (used.client_id, used.client_secret)
    old, new = (SecretKeys((key,)).for_purpose(PURPOSE)[0] for key in (OLD, NEW))

    # the new one is in front: the first use makes the hash anew, and only the first
    both = ApiProcess(rows, NEW, OLD)
    assert await both.admits(*credentials)
    assert await both.admits(*credentials)
    assert both.rows.asked == ["read", "write", "read"]
    assert (await find_key(connection, used.client_id)).hash_keys == [new.name]
    assert (await find_key(connection, unused.client_id)).hash_keys == [old.name]
    made_meanwhile = await new_key(connection, SecretKeys((NEW, OLD)))
    assert (await find_key(connection, made_meanwhile.client_id)).hash_keys == [new.name]

    # the old one is gone: what was used works on, what was not can't be checked
    alone = ApiProcess(rows, NEW)
    assert await alone.admits(*credentials)
    assert await alone.admits(made_meanwhile.client_id, made_meanwhile.client_secret)
    assert not await alone.admits(unused.client_id, unused.client_secret)
    assert not await ApiProcess(rows, OLD).admits(*credentials)
    assert await ApiProcess(rows, OLD).admits(unused.client_id, unused.client_secret)


async def test_a_wrong_secret_never_changes_a_hash(connection, rows) -> None:
    key = await new_key(connection)
    before = await connection.fetch("SELECT * FROM api_key_secrets")
    process = ApiProcess(rows, NEW, OLD)
    assert not await process.admits(key.client_id, "0" * 64)
    assert process.rows.asked == ["read"]
    assert await connection.fetch("SELECT * FROM api_key_secrets") == before


async def test_a_hash_made_anew_keeps_the_end_of_its_overlap(connection, rows) -> None:
    key = await new_key(connection)
    rolled = await roll_key(connection, KEYS, key.client_id, HOUR)
    await asyncio.gather(
        *(ApiProcess(rows, NEW, OLD).admits(key.client_id, key.client_secret) for _ in range(3))
    )
    ends = await connection.fetch("SELECT expires_at FROM api_key_secrets ORDER BY 1")
    assert [row["expires_at"] for row in ends] == [rolled.previous_until, None]
