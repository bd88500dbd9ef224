"""What deciding reads: outcomes by their ids, and wallets by snapshot and tail."""

from typing import Any

import msgspec
import pytest

from engine.errors import ShardHaltedError
from engine.log import LoadedWallet, ShardLog, Snapshot
from engine.wallet import encode_wallet
from schemas.digests import expiry_id
from schemas.entries import decode_entry
from tests.conformance.log.databases import LogDatabase, shard_log
from tests.conformance.log.writing import Writer
from tests.support.payloads import create, credit, debit, topup


async def test_outcomes_are_found_with_their_bodies(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        batch = await writer.append(create("wal_1"), debit("wal_1", "d", 9))
        await writer.append(create("wal_2"))
        done, refused = batch.append.command_ids
        found = await log.find_outcomes([refused, b"nobody's", done, done])
    assert found == batch.outcomes
    assert set(found) == {done, refused}


async def test_nothing_is_found_of_another_shard(database: LogDatabase) -> None:
    async with shard_log(database, 0) as log, shard_log(database, 1) as other:
        writer = await Writer.claiming(log)
        batch = await writer.append(create("wal_1"))
        assert await other.find_outcomes(batch.append.command_ids) == {}
        assert await other.load_wallets(["wal_1"]) == {"wal_1": LoadedWallet(None, 0)}
        assert await other.read_entries(0, 9, 9) == []


async def test_an_entry_without_a_command_has_no_body(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        batch = writer.decide(create("wal_1"))
        entry = msgspec.structs.replace(
            decode_entry(batch.append.data[0]), body_digest=None, offset=None
        )
        identity = expiry_id("wal_1", 2)
        batch.append.data[0] = msgspec.json.encode(entry)
        batch.append.command_ids[0] = identity
        await log.append(batch.append)
        assert await log.find_outcomes([identity]) == {identity: b""}


async def test_wallets_are_loaded_by_their_events(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        await writer.append(create("wal_2"), create("wal_1"), topup("wal_1", "t", 5))
        # a refusal has no version, and is no event
        await writer.append(debit("wal_1", "d", 99), topup("wal_2", "t", 7))
        loaded = await log.load_wallets(["wal_3", "wal_1", "wal_2"])
    assert loaded == {
        "wal_1": LoadedWallet(writer.wallets["wal_1"], 2),
        "wal_2": LoadedWallet(writer.wallets["wal_2"], 2),
        "wal_3": LoadedWallet(None, 0),
    }


async def test_many_wallets_are_loaded_at_once(database: LogDatabase) -> None:
    names = [f"wal_{number}" for number in range(1_100)]
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        await writer.append(*map(create, names[::2]))
        loaded = await log.load_wallets(names)
    assert [loaded[name].wallet for name in names] == [writer.wallets.get(name) for name in names]


@pytest.mark.parametrize(("bytes_max", "events_max"), [(1, 1_000), (1_500, 1_000), (10**6, 2)])
async def test_long_histories_are_read_a_part_at_a_time(
    database: LogDatabase, monkeypatch: pytest.MonkeyPatch, bytes_max: int, events_max: int
) -> None:
    monkeypatch.setattr("engine.log._READ_BYTES_MAX", bytes_max)
    monkeypatch.setattr("engine.log._LOAD_EVENTS_MAX", events_max)
    names = [f"wal_{number}" for number in range(6)]
    async with shard_log(database) as log:
        writer, snapshots = await _three_events(log)
        await log.save_snapshots(snapshots[1:2])
        more = [topup(name, f"m{number}", 1) for name in names[:4] for number in range(5)]
        await writer.append(*map(create, names[2:5]), *more)
        loaded = await log.load_wallets(names)
    replayed = {"wal_0": 0, "wal_1": 6, "wal_2": 6, "wal_3": 6, "wal_4": 1, "wal_5": 0}
    assert loaded == {
        name: LoadedWallet(writer.wallets.get(name), count) for name, count in replayed.items()
    }


async def test_of_a_large_outcome_only_the_digest_is_read(database: LogDatabase) -> None:
    metadata = {f"{number}": "x" * 500 for number in range(50)}
    longest = f"wal_{'w' * 40}"
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        created = create(longest, merchant_id=f"mch_{'m' * 40}", metadata=metadata)
        batch = await writer.append(created, topup(longest, "t", 5, metadata=metadata))
        assert await log.find_outcomes(batch.append.command_ids) == batch.outcomes


async def _three_events(log: ShardLog) -> tuple[Writer, list[Snapshot]]:
    """A wallet of three events, and a snapshot after each."""
    writer = await Writer.claiming(log)
    snapshots = []
    for payload in (create("wal_1"), topup("wal_1", "t", 5), credit("wal_1", "c", 6)):
        batch = await writer.append(payload)
        wallet = writer.wallets["wal_1"]
        snapshots.append(
            Snapshot(
                wallet_id="wal_1",
                version=wallet.version,
                position=batch.tip.position - 1,
                leaf_hash=batch.leaf_hashes[0],
                state=encode_wallet(wallet),
            )
        )
    return writer, snapshots


@pytest.mark.parametrize("nth", [0, 1, 2])
async def test_a_snapshot_saves_reading_what_is_before_it(database: LogDatabase, nth: int) -> None:
    async with shard_log(database) as log:
        writer, snapshots = await _three_events(log)
        await log.save_snapshots([snapshots[nth]])
        assert await log.load_wallets(["wal_1"]) == {
            "wal_1": LoadedWallet(writer.wallets["wal_1"], 2 - nth)
        }


@pytest.mark.parametrize(
    "changes",
    [
        {"leaf_hash": bytes(32)},
        {"position": 0},
        {"position": 99},
        {"version": 1},
        {"version": 9},
    ],
)
async def test_a_snapshot_that_ends_at_no_entry_is_passed_over(
    database: LogDatabase, changes: dict[str, Any]
) -> None:
    async with shard_log(database) as log:
        writer, snapshots = await _three_events(log)
        await log.save_snapshots([msgspec.structs.replace(snapshots[1], **changes)])
        assert await log.load_wallets(["wal_1"]) == {
            "wal_1": LoadedWallet(writer.wallets["wal_1"], 3)
        }


async def test_a_snapshot_of_another_wallets_entry_is_passed_over(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer, snapshots = await _three_events(log)
        await writer.append(create("wal_2"))
        await log.save_snapshots([msgspec.structs.replace(snapshots[0], wallet_id="wal_2")])
        assert await log.load_wallets(["wal_2"]) == {
            "wal_2": LoadedWallet(writer.wallets["wal_2"], 1)
        }


async def test_a_snapshot_of_another_shape_is_passed_over_and_gives_way(
    database: LogDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shard_log(database) as log:
        writer, snapshots = await _three_events(log)
        with monkeypatch.context() as newer:
            newer.setattr("engine.log.fingerprint", lambda: b"another release")
            await log.save_snapshots([snapshots[2]])
        assert await log.load_wallets(["wal_1"]) == {
            "wal_1": LoadedWallet(writer.wallets["wal_1"], 3)
        }
        # it is older, but of this shape
        await log.save_snapshots([snapshots[1]])
        assert (await log.load_wallets(["wal_1"]))["wal_1"].replayed == 1


async def test_an_older_snapshot_does_not_replace_a_newer_one(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        _, snapshots = await _three_events(log)
        for nth, replayed in ((1, 1), (0, 1), (2, 0), (1, 0)):
            await log.save_snapshots([snapshots[nth]])
            assert (await log.load_wallets(["wal_1"]))["wal_1"].replayed == replayed


async def test_an_entry_that_cannot_be_read_halts_the_shard(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        await _three_events(log)
        await database.set_data(0, 1, b'{"type":"of a newer release"}')
        with pytest.raises(ShardHaltedError) as caught:
            await log.load_wallets(["wal_1"])
    assert caught.value.code == "log_unreadable"


async def test_a_changed_entry_makes_its_snapshot_void(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        _, snapshots = await _three_events(log)
        await log.save_snapshots([snapshots[0]])
        [entry] = await log.read_entries(0, 1, 1)
        await database.set_data(0, 0, entry.data.replace(b"cus_a1", b"cus_b2"))
        loaded = (await log.load_wallets(["wal_1"]))["wal_1"]
    assert loaded.wallet is not None
    assert (loaded.wallet.customer_id, loaded.replayed) == ("cus_b2", 3)
