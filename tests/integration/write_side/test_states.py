"""The state a command is decided on is always the one that the entries before it left."""

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engine.errors import DataRefusedError
from engine.keeper import Keeper
from engine.log import _QUERIES, LoadedWallet, ShardLog, Snapshot
from engine.merkle import leaf_hash, leaf_hashes, root_of
from engine.wallet import encode_wallet, fingerprint
from schemas.events import CommandRejected
from tests.support.engines import Service
from tests.support.payloads import create, debit, topup

W = "wal_a1"


async def load_wallet(running: Service, wallet_id: str = W) -> LoadedWallet:
    log = await ShardLog.connect(0, running.settings)
    try:
        return (await log.load_wallets([wallet_id]))[wallet_id]
    finally:
        log.close()


async def test_states_are_never_stale_with_a_cache_of_one(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look-ups are answered while the batch that they'd miss is still being appended."""
    append = ShardLog.append
    refused: list[DataRefusedError] = []

    async def slow(log: ShardLog, batch: Any) -> None:
        await asyncio.sleep(0.01)
        try:
            await append(log, batch)
        except DataRefusedError as error:
            refused.append(error)
            raise

    monkeypatch.setattr(ShardLog, "append", slow)
    wallets = [f"wal_{number}" for number in range(4)]
    commands: list[bytes] = [create(wallet_id) for wallet_id in wallets]
    for turn in range(15):
        for wallet_id in wallets:
            commands.append(topup(wallet_id, f"t{turn}", 5))
            commands.append(debit(wallet_id, f"d{turn}", 5))
            commands.append(topup(wallet_id, f"t{turn}", 5))
    for command in commands:
        await running.producer.send(running.settings.commands_topic, command, partition=0)
    await running.producer.flush()
    running.sent.append((0, len(commands) - 1))
    async with running.engine(batch_commands_max=3, cached_wallets_max=1):
        await running.decided()
    entries = await running.entries()
    assert len(entries) == 4 + 4 * 15 * 2
    assert refused == []
    assert not [entry for entry in entries if isinstance(entry.event, CommandRejected)]


async def test_a_late_answer_falls_into_the_lease_that_asked(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = ShardLog.load_wallets
    asked, answer = asyncio.Event(), asyncio.Event()
    logs: list[ShardLog] = []

    async def late(log: ShardLog, wallet_ids: Any) -> Any:
        found = await load(log, wallet_ids)
        logs.append(log)
        if len(logs) == 1:
            asked.set()
            await answer.wait()
        return found

    monkeypatch.setattr(ShardLog, "load_wallets", late)
    async with running.engine("first") as first:
        await running.send_commands(create(W), wallet_id=W)
        await asked.wait()
        async with running.engine("second", group=running.settings.group + "2") as second:
            await running.send_commands(topup(W, "t", 5), wallet_id=W)
            await running.decided()
            await second.stop()
        answer.set()
        await running.send_commands(debit(W, "d", 5), wallet_id=W)
        await running.decided()
        assert first.assignment._owners[0].committed is not None
    entries = await running.entries()
    assert [entry.event.reference for entry in entries] == ["create", "t", "d"]


@pytest.mark.parametrize("crashed", [False, True])
async def test_snapshots_and_tiles_are_written_and_a_restart_goes_on(
    running: Service, monkeypatch: pytest.MonkeyPatch, crashed: bool
) -> None:
    async def left_out(_: Keeper) -> None:
        """As if the process had ended before."""

    if crashed:
        monkeypatch.setattr(Keeper, "_flush_tiles", left_out)
    topups = [topup(W, f"t{number}", 1) for number in range(300)]
    async with running.engine(snapshot_every_versions=20, batch_commands_max=50):
        await running.send_commands(create(W), *topups[:270], wallet_id=W)
        await running.decided()
    before = await load_wallet(running)
    assert before.wallet is not None
    assert before.wallet.balance == 270
    assert before.replayed < 60
    monkeypatch.undo()
    async with running.engine(snapshot_every_versions=20, batch_commands_max=50):
        await running.send_commands(*topups[270:], wallet_id=W)
        await running.decided()
    rows = await running.database.fetch("SELECT data FROM log ORDER BY position")
    hashes = leaf_hashes(row["data"] for row in rows)
    tiles = await running.database.fetch(
        "SELECT index, hashes FROM tiles WHERE level = 0 ORDER BY index"
    )
    assert b"".join(tile["hashes"] for tile in tiles) == b"".join(hashes)
    log = await ShardLog.connect(0, running.settings)
    try:
        assert (await log.claim("reader")).frontier.root() == root_of(hashes)
    finally:
        log.close()


@pytest.mark.parametrize(
    "wrong", ["leaf_hash", "fingerprint", "version", "position", "beyond the log", "nothing"]
)
async def test_a_snapshot_of_what_never_happened_is_passed_over(
    running: Service, wrong: str
) -> None:
    async with running.engine(snapshot_every_versions=1_000):
        topups = [topup(W, f"t{number}", 1) for number in range(9)]
        await running.send_commands(create(W), *topups, wallet_id=W)
        await running.decided()
    wallet = (await load_wallet(running)).wallet
    assert wallet is not None
    rows = await running.database.fetch("SELECT position, data FROM log ORDER BY position")
    snapshot = {
        "version": 10,
        "position": rows[9]["position"],
        "leaf_hash": leaf_hash(rows[9]["data"]),
        "fingerprint": None,
        "state": encode_wallet(replace(wallet, balance=1_000_000, owed=-1_000_000 + 9)),
    }
    if wrong == "leaf_hash":
        snapshot["leaf_hash"] = leaf_hash(b"of an append that was fenced")
    elif wrong == "fingerprint":
        snapshot["fingerprint"] = b"another release's"
    elif wrong == "version":
        snapshot["version"] = 9
    elif wrong == "position":
        snapshot["position"] = 8
    elif wrong == "beyond the log":
        snapshot |= {"version": 11, "position": 10}
    await _keep(running, **snapshot)
    loaded = (await load_wallet(running)).wallet
    assert loaded is not None
    # the one that is right in all these is believed, whatever it says: that is the point of it
    assert loaded.balance == (1_000_000 if wrong == "nothing" else 9)


async def _keep(running: Service, **snapshot: Any) -> None:
    log = await ShardLog.connect(0, running.settings)
    try:
        fingerprint = snapshot.pop("fingerprint")
        await log.save_snapshots([Snapshot(wallet_id=W, **snapshot)])
    finally:
        log.close()
    if fingerprint is not None:
        await running.database.execute("UPDATE snapshots SET fingerprint = $1", fingerprint)


_FILL = """
INSERT INTO log (shard, position, wallet_id, version, command_id, type, occurred_at, data)
SELECT 0, version - 1, $1, version, decode(md5(version::text), 'hex'), 'filled', now(),
       convert_to(replace(replace(replace(
           CASE version % 2 WHEN 0 THEN $3 ELSE $4 END,
           '"version":' || (2 + version % 2), '"version":' || version),
           '"position":' || (1 + version % 2), '"position":' || version - 1),
           '"lot":2', '"lot":' || version - version % 2), 'UTF8')
  FROM generate_series(4, $2) AS version
"""


async def test_a_wallet_of_100_000_entries_is_loaded_from_snapshot_and_tail(
    running: Service,
) -> None:
    count, kept_at = 100_000, 99_850
    async with running.engine(snapshot_every_versions=1_000):
        await running.send_commands(create(W), topup(W, "t", 1), debit(W, "d", 1), wallet_id=W)
        await running.decided()
    last = (await load_wallet(running)).wallet
    assert last is not None
    _, topped_up, debited = await running.database.fetch(
        "SELECT convert_from(data, 'UTF8') AS data FROM log ORDER BY position"
    )
    await running.database.execute(_FILL, W, count, topped_up["data"], debited["data"])
    data = await running.database.fetchval("SELECT data FROM log WHERE version = $1", kept_at + 1)
    await _keep(
        running,
        version=kept_at + 1,
        position=kept_at,
        leaf_hash=leaf_hash(data),
        state=encode_wallet(replace(last, version=kept_at + 1)),
        fingerprint=None,
    )
    loaded = await load_wallet(running)
    assert loaded.replayed == count - kept_at - 1
    assert loaded.wallet is not None
    assert (loaded.wallet.version, loaded.wallet.balance) == (count, 1)
    assert loaded.wallet.lots[0].id == count
    assert await entries_read(running) < 1_000
    await running.database.execute("DELETE FROM snapshots")
    assert await entries_read(running) == 1_000
    assert await load_wallet(running) == LoadedWallet(loaded.wallet, count)


async def entries_read(running: Service) -> int:
    """Rows of the log that loading one wallet touches, by the plan that is really run."""
    log = await ShardLog.connect(0, running.settings)
    try:
        query = f"EXPLAIN (ANALYZE, FORMAT JSON) {_QUERIES['load_wallets']}"
        plan = await log._lookup.fetchval(query, 0, [W], fingerprint(), [None], 1_000, 2_000_000)
    finally:
        log.close()
    return _rows_of_log(msgspec.json.decode(plan)[0]["Plan"])


def _rows_of_log(node: dict[str, Any]) -> int:
    rows = sum(_rows_of_log(child) for child in node.get("Plans", ()))
    if node.get("Relation Name") == "log":
        touched = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        rows += int(touched * node["Actual Loops"])
    return rows
