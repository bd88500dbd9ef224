"""The large shard of the benchmark is one that the engine could have written."""

import asyncpg

from bench.large_shard import ENTRIES_OF_A_WALLET, fill_shard
from bench.load import wallet_ids
from engine.decider import evolve
from engine.merkle import Frontier, leaf_hashes
from engine.migrate import migrate
from schemas.entries import decode_entry, encode_entry

ENTRIES = 3_000


async def test_made_up_entries_are_entries(database_url):
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    try:
        before = await connection.fetch(_KEYS)
        await fill_shard(connection, ENTRIES, lambda _: None)
        assert await connection.fetch(_KEYS) == before
        rows = await connection.fetch("SELECT * FROM log ORDER BY position")
        shard = await connection.fetchrow("SELECT * FROM shards")
    finally:
        await connection.close()
    assert [row["position"] for row in rows] == list(range(ENTRIES))
    wallets = {}
    for row in rows:
        entry = decode_entry(row["data"])
        assert encode_entry(entry) == row["data"]
        assert (entry.shard, entry.position) == (0, row["position"])
        assert (entry.wallet_id, entry.version) == (row["wallet_id"], row["version"])
        assert (entry.event.__struct_config__.tag, entry.occurred_at) == (
            row["type"],
            row["occurred_at"],
        )
        assert bytes.fromhex(entry.command_id) == row["command_id"]
        wallets[entry.wallet_id] = evolve(wallets.get(entry.wallet_id), entry.event)
        assert wallets[entry.wallet_id].version == entry.version
    assert sorted(wallets) == wallet_ids(ENTRIES // ENTRIES_OF_A_WALLET)
    frontier = Frontier()
    frontier.extend(leaf_hashes(row["data"] for row in rows))
    assert (shard["position"], shard["published"]) == (ENTRIES, ENTRIES)
    assert shard["tree"] == frontier.to_bytes()


_KEYS = """
SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
 WHERE conrelid = 'log'::regclass ORDER BY conname
"""
