"""What is wrong beside the log is found: tree, tiles, timers, snapshots, what was set aside."""

import msgspec

from engine.wallet import decode_wallet, encode_wallet
from schemas.events import Credited
from tests.support.findings import assert_found, check, failed


async def test_a_right_edge_that_was_changed(proven):
    tree = await proven.database.fetchval("SELECT tree FROM shards")
    await proven.tamper("UPDATE shards SET tree = $1", bytes([tree[0] ^ 1]) + tree[1:])
    proof = await proven.verify()
    assert failed(proof) == {"root"}
    assert "the row that was changed" in check(proof, "root").findings[0].message


async def test_a_right_edge_that_does_not_fit_the_size(proven):
    await proven.tamper("UPDATE shards SET tree = ''")
    assert failed(await proven.verify()) == {"root"}


async def test_without_tiles_the_edge_says_in_which_range_the_log_was_changed(proven):
    await proven.tamper("DELETE FROM tiles")
    position = len(proven.history.entries) - 1
    data = await proven.database.fetchval("SELECT data FROM log WHERE position = $1", position)
    await proven.tamper("UPDATE log SET data = $2 WHERE position = $1", position, data + b" ")
    proof = await proven.verify()
    (finding,) = check(proof, "root").findings
    # 850 = 512 + 256 + 64 + 16 + 2
    assert finding.position is None
    assert "positions 848 to 849" in finding.message


async def test_tiles_that_lag_behind_are_no_failure(proven):
    await proven.tamper("DELETE FROM tiles WHERE level = 0 AND index = 3")
    proof = await proven.verify()
    assert proof.passed, proof.first
    assert "768 of 850" in check(proof, "tiles").notes[0]


async def test_a_tile_of_the_lowest_level_that_was_changed(proven):
    """Its hash 7 is that of position 3 * 256 + 7."""
    await proven.tamper(
        "UPDATE tiles SET hashes = overlay(hashes PLACING '\\x00' FROM 7 * 32 + 1 FOR 1) "
        "WHERE level = 0 AND index = 3"
    )
    proof = await proven.verify()
    assert_found(proof, "tiles", 3 * 256 + 7)
    assert failed(proof) == {"tiles"}


async def test_a_full_tile_that_was_changed(proven):
    await proven.tamper(
        "UPDATE tiles SET hashes = overlay(hashes PLACING '\\x00' FROM 7 * 32 + 1 FOR 1) "
        "WHERE level = 0 AND index = 1"
    )
    proof = await proven.verify()
    assert failed(proof) == {"tiles"}
    assert "tile 0/1" in check(proof, "tiles").findings[0].message


async def test_a_tile_of_a_higher_level_that_was_changed(proven):
    await proven.tamper(
        "UPDATE tiles SET hashes = overlay(hashes PLACING '\\x00' FROM 1 FOR 1) WHERE level = 1"
    )
    assert failed(await proven.verify()) == {"tiles"}


async def test_a_tile_that_is_missing(proven):
    await proven.tamper("DELETE FROM tiles WHERE level = 0 AND index = 1")
    assert failed(await proven.verify()) == {"tiles"}


async def test_a_lot_without_its_timer(proven):
    end = await proven.database.fetchval("SELECT min(at) FROM due")
    position = next(
        entry.position
        for entry in proven.history.entries
        if isinstance(entry.event, Credited) and entry.event.expires_at == end
    )
    await proven.tamper("DELETE FROM due WHERE at = $1", end)
    proof = await proven.verify()
    assert_found(proof, "timers", position)
    assert failed(proof) == {"timers"}


async def test_a_snapshot_of_something_that_never_happened(proven):
    state = await proven.database.fetchval(
        "SELECT state FROM snapshots WHERE wallet_id = 'wal_s0n2'"
    )
    richer = msgspec.structs.replace(decode_wallet(state), credit_limit=1_000)
    await proven.tamper(
        "UPDATE snapshots SET state = $1 WHERE wallet_id = 'wal_s0n2'", encode_wallet(richer)
    )
    proof = await proven.verify()
    assert failed(proof) == {"snapshots"}
    last = max(
        e.position for e in proven.history.entries if e.wallet_id == "wal_s0n2" and e.version
    )
    assert_found(proof, "snapshots", last)


async def test_a_snapshot_of_another_shape_is_passed_over(proven):
    await proven.tamper("UPDATE snapshots SET fingerprint = 'other', state = 'x'")
    assert (await proven.verify()).passed


async def test_a_dead_letter_for_a_record_that_is_not_decided(proven):
    await _set_aside(proven, proven.history.next_offset)
    proof = await proven.verify()
    assert failed(proof) == {"set_aside"}
    assert check(proof, "set_aside").findings[0].offset == proven.history.next_offset


async def test_a_forward_for_a_record_that_is_not_decided(proven):
    await proven.tamper("INSERT INTO forwards VALUES (0, 99999, 1, 5)")
    assert failed(await proven.verify()) == {"set_aside"}


async def test_a_dead_letter_for_a_record_that_has_an_entry(proven):
    entry = await proven.entry(500)
    await _set_aside(proven, entry.offset)
    proof = await proven.verify()
    assert failed(proof) == {"set_aside"}
    assert_found(proof, "set_aside", 500)


async def _set_aside(proven, offset: int) -> None:
    await proven.tamper(
        """
        INSERT INTO dead_letters (shard, "offset", reason, detail, occurred_at)
        VALUES (0, $1, 'malformed_json', '', now())
        """,
        offset,
    )


async def test_the_guard_that_is_off(proven):
    await proven.database.execute("ALTER TABLE log DISABLE TRIGGER log_is_append_only")
    assert failed(await proven.verify()) == {"guards"}


async def test_the_constraint_that_is_gone(proven):
    await proven.database.execute("ALTER TABLE log DROP CONSTRAINT log_command_once")
    assert failed(await proven.verify()) == {"guards"}


async def test_entries_of_a_shard_that_has_no_row(proven):
    await proven.tamper(
        "INSERT INTO log SELECT 7, position, wallet_id, version, command_id, type,"
        " occurred_at, data FROM log WHERE position = 0"
    )
    proof = await proven.verify()
    assert failed(proof) == {"positions"}
    assert check(proof, "positions").findings[0].place == "shard 7, position 0"
