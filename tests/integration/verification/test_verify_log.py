"""What is wrong with the log is found, and its first wrong position named."""

from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest

from api.install import install
from engine.settings import Settings
from projections.verification import CHECKS, VerificationError, verify
from schemas.digests import body_digest, command_id
from schemas.entries import encode_entry
from schemas.events import (
    Closed,
    CommandRejected,
    Credited,
    Debited,
    Expired,
    LotAmount,
    ToppedUp,
    WrittenOff,
)
from schemas.instants import from_microseconds
from tests.support.findings import assert_found, check, failed
from tests.support.history import HistoryBuilder
from tests.support.proven import Proven, busy_history

# of the shard as a whole, or of what this history does not have
NOTHING_THERE = {"root", "set_aside", "wallet_trees"}
LOG_CHECKS = set(CHECKS) - {"commands_topic", "events_topic", "checkpoint"}


async def test_what_is_right_passes_every_check(proven):
    proof = await proven.verify()
    assert proof.passed, proof.first
    assert {result.name for result in proof.checks} == LOG_CHECKS
    counts = {result.name: result.checked for result in proof.checks}
    size = len(proven.history.entries)
    assert counts["positions"] == counts["columns"] == counts["tiles"] == size
    assert counts["replay"] + counts["rejections"] >= size
    assert min(count for name, count in counts.items() if name not in NOTHING_THERE) > 2
    assert proof.shards[0].entries == size


async def test_the_books_are_those_of_the_log_at_the_instant(proven):
    proof = await proven.verify()
    assert {line.currency for line in proof.books} == {"GHS", "JPY", "KWD"}
    for line in proof.books:
        assert line.balances == line.expected
        assert line.run_out > 0
        assert line.wallets == 2
        events = [
            entry.event
            for entry in proven.history.entries
            if getattr(entry.event, "currency", "") == line.currency
        ]
        assert line.topped_up == sum(e.amount for e in events if isinstance(e, ToppedUp))
        assert line.credited == sum(e.amount for e in events if isinstance(e, Credited))
        assert line.debited == sum(e.amount for e in events if isinstance(e, Debited))
        assert line.expired == sum(e.amount for e in events if isinstance(e, Expired))
    assert sum(line.written_off for line in proof.books) > 0


async def test_entries_after_the_instant_are_verified_and_not_in_the_books(
    proven,
):
    now = await proven.database.fetchval("SELECT clock_timestamp()")
    late = HistoryBuilder(1, now).create("wal_late").topup("wal_late", 77)
    await Proven.write(proven.database, late)
    proof = await proven.verify()
    assert proof.passed, proof.first
    assert proof.instant < now
    assert [shard.entries for shard in proof.shards] == [len(proven.history.entries), 2]
    before = await proven.verify(0)
    assert [line.topped_up for line in proof.books] == [line.topped_up for line in before.books]


async def test_shards_are_verified_one_by_one_or_together(proven):
    other = await Proven.write(proven.database, busy_history(shard=1, rounds=2))
    await other.tamper("DELETE FROM log WHERE shard = 1 AND position = 7")
    both = await proven.verify()
    assert both.first is not None
    assert both.first.place == "shard 1, position 7"
    assert (await proven.verify(0)).passed
    assert not (await proven.verify(1)).passed
    with pytest.raises(VerificationError, match="no shard 2; there are 0, 1"):
        await proven.verify(2)


async def test_an_empty_database_passes(database_url):
    await install(database_url)
    proof = await verify(Settings(database_url=database_url), kafka=False)
    assert proof.passed, proof.first


async def test_a_changed_amount(proven):
    position = proven.position_of(Debited, after=400)
    entry = await proven.entry(position)
    await proven.edit_entry(position, amount=entry.event.amount - 1)
    proof = await proven.verify()
    assert_found(proof, "root", position)
    assert_found(proof, "replay", position)


async def test_a_changed_description_is_found_by_the_tree_alone(proven):
    position = proven.position_of(Debited, after=500)
    data = await proven.database.fetchval("SELECT data FROM log WHERE position = $1", position)
    await proven.tamper(
        "UPDATE log SET data = $2 WHERE position = $1",
        position,
        data.replace(b'"customer_id"', b'"customer_id"') + b" ",
    )
    proof = await proven.verify()
    assert_found(proof, "root", position)
    assert failed(proof) == {"root"}


async def test_a_dropped_entry(proven):
    await proven.tamper("DELETE FROM log WHERE position = 411")
    proof = await proven.verify()
    assert_found(proof, "positions", 411)
    assert_found(proof, "root", 411)


async def test_the_last_entry_dropped(proven):
    last = len(proven.history.entries) - 1
    await proven.tamper("DELETE FROM log WHERE position = $1", last)
    proof = await proven.verify()
    assert_found(proof, "positions", last)
    assert_found(proof, "root", last)


async def test_the_end_dropped_and_covered_up_in_the_shards_row(proven):
    last = len(proven.history.entries) - 1
    await proven.tamper("DELETE FROM log WHERE position = $1", last)
    checkpoints = await proven.database.fetch("SELECT name, position FROM checkpoints")
    await proven.cover_up()
    for row in checkpoints:
        await proven.database.execute(
            "UPDATE checkpoints SET position = $2 WHERE name = $1", row["name"], row["position"]
        )
    proof = await proven.verify()
    assert "not compared" in check(proof, "wallets").findings[-1].message


async def test_a_dropped_entry_with_the_rest_moved_up(proven):
    await proven.tamper("DELETE FROM log WHERE position = 411")
    await proven.tamper("UPDATE log SET position = -position WHERE position > 411")
    await proven.tamper("UPDATE log SET position = -position - 1 WHERE position < 0")
    await proven.cover_up()
    assert_found(await proven.verify(), "columns", 411)


async def test_swapped_entries(proven):
    first, second = await proven.entry(300), await proven.entry(301)
    await proven.tamper(
        "UPDATE log SET data = CASE position WHEN 300 THEN $2::bytea ELSE $1::bytea END "
        "WHERE position IN (300, 301)",
        encode_entry(first),
        encode_entry(second),
    )
    proof = await proven.verify()
    assert_found(proof, "columns", 300)
    assert_found(proof, "root", 300)


async def test_entries_swapped_with_their_columns_and_positions_and_covered_up(proven):
    position = proven.position_of(Debited, after=proven.position_of(Credited, after=300))
    pair = [await proven.entry(position), await proven.entry(position + 1)]
    assert isinstance(pair[1].event, Debited)
    await proven.tamper("DELETE FROM log WHERE position IN ($1, $2)", position, position + 1)
    for place, entry in zip((position + 1, position), pair, strict=True):
        moved = msgspec.structs.replace(entry, position=place)
        await proven.tamper(
            "INSERT INTO log SELECT 0, $1, $2, $3, $4, 'debited', $5, $6",
            *(place, moved.wallet_id, moved.version, bytes.fromhex(moved.command_id)),
            *(moved.occurred_at, encode_entry(moved)),
        )
    await proven.tamper("DELETE FROM tiles")
    proof = await proven.verify()
    assert check(proof, "root").failed
    assert_found(proof, "replay", position)


async def test_an_entry_before_the_first(proven):
    await proven.tamper(
        "INSERT INTO log SELECT shard, -1, 'wal_x', 1, 'x', type, occurred_at, data FROM log "
        "WHERE position = 0"
    )
    assert_found(await proven.verify(), "positions", -1)


async def test_an_entry_added_at_the_end(proven):
    size = len(proven.history.entries)
    await _add(proven, size)
    assert_found(await proven.verify(), "positions", size)


async def test_an_entry_added_at_the_end_and_counted(proven):
    size = len(proven.history.entries)
    await _add(proven, size)
    await proven.tamper("UPDATE shards SET position = position + 1")
    proof = await proven.verify()
    assert check(proof, "root").failed


async def test_an_entry_added_and_covered_up_comes_from_no_decided_command(proven):
    size = len(proven.history.entries)
    await _add(proven, size)
    await proven.cover_up()
    proof = await proven.verify()
    assert "root" not in failed(proof)
    assert_found(proof, "commands", size)


async def _add(proven: Proven, position: int) -> None:
    wallet_id = "wal_s0n1"
    wallet = proven.history.wallets[wallet_id]
    last = await proven.entry(position - 1)
    entry = msgspec.structs.replace(
        last,
        position=position,
        wallet_id=wallet_id,
        version=wallet.version + 1,
        merchant_id=wallet.merchant_id,
        environment=wallet.environment,
        command_id=command_id(wallet_id, "gift").hex(),
        offset=proven.history.next_offset,
        event=ToppedUp(
            amount=1_000,
            currency=wallet.currency,
            balance_before=wallet.balance,
            balance_after=wallet.balance + 1_000,
            reference="gift",
            lot=wallet.version + 1,
        ),
    )
    await proven.tamper(
        "INSERT INTO log SELECT 0, $1, $2, $3, $4, 'topped_up', $5, $6",
        *(position, wallet_id, entry.version, bytes.fromhex(entry.command_id)),
        *(entry.occurred_at, encode_entry(entry)),
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("wallet_id", "wal_other"),
        ("version", 9_999),
        ("command_id", b"0123456789abcdef"),
        ("type", "frozen"),
        ("occurred_at", from_microseconds(1_700_000_000_000_000)),
    ],
)
async def test_a_column_that_is_not_what_the_entry_says(proven, column, value):
    await proven.tamper(f"UPDATE log SET {column} = $1 WHERE position = 333", value)
    proof = await proven.verify()
    assert_found(proof, "columns", 333)
    assert column in check(proof, "columns").findings[0].message


async def test_an_entry_that_cannot_be_read(proven):
    await proven.tamper("UPDATE log SET data = '{' WHERE position = 222")
    assert_found(await proven.verify(), "columns", 222)


# From here on the tree, the tiles and the read models are made to fit what was done.


async def test_covering_up_alone_changes_nothing(proven):
    await proven.cover_up()
    assert (await proven.verify()).passed


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 1, "balance_after": 10**6},
        {"lots": []},
        {"lots": [LotAmount(2, 37)]},
        {"balance_before": 0},
        {"overdrawn": 5},
        {"currency": "USD"},
        {"version": 9_999},
        {"merchant_id": "mch_other"},
    ],
)
async def test_a_debit_that_the_rules_do_not_lead_to(proven, changes):
    position = proven.position_of(Debited, after=444)
    await proven.edit_entry(position, **changes)
    await proven.cover_up_tree()
    proof = await proven.verify()
    assert_found(proof, "replay", position)
    # what the wallet holds from there on is not known, and so not complained about
    assert "timers" not in failed(proof)


async def test_a_debit_of_more_than_there_is(proven):
    position = proven.position_of(Debited, after=444)
    await proven.edit_entry(position, amount=10**12)
    await proven.cover_up_tree()
    proof = await proven.verify()
    assert_found(proof, "replay", position)
    messages = [finding.message for finding in check(proof, "replay").findings]
    assert any("refuses it with insufficient_funds" in message for message in messages)


async def test_a_debit_that_a_timer_is_said_to_have_made(proven):
    position = proven.position_of(Debited, after=proven.position_of(Credited, after=444))
    await proven.edit_entry(position, offset=None)
    await proven.cover_up()
    assert_found(await proven.verify(), "replay", position)


async def test_a_whole_history_with_more_money_than_came_in(proven):
    position = proven.position_of(ToppedUp, after=500)
    event = (await proven.entry(position)).event
    await proven.edit_entry(
        position, amount=event.amount + 100, balance_after=event.balance_after + 100
    )
    await proven.cover_up_tree()
    proof = await proven.verify()
    # no command of that amount has the digest, and what follows does not add up
    assert_found(proof, "digests", position)
    assert {"replay", "money"} <= failed(proof)


async def test_an_expiry_at_another_moment(proven):
    position = proven.position_of(Expired, after=300)
    event = (await proven.entry(position)).event
    await proven.edit_entry(position, expires_at=event.expires_at.replace(microsecond=1))
    await proven.cover_up_tree()
    assert_found(await proven.verify(), "replay", position)


async def test_a_lot_that_lives_past_its_end(proven):
    """The expiry is gone as if it had never been due, and all after it is renumbered."""
    position = proven.position_of(Expired, after=300)
    entry = await proven.entry(position)
    await proven.edit_entry(
        position,
        event=Credited(
            amount=1, currency="GHS", balance_before=0, balance_after=1, reference="x", lot=0
        ),
        body_digest=entry.command_id,
    )
    await proven.cover_up_tree()
    assert_found(await proven.verify(), "replay", position)


async def test_an_entry_dated_before_the_one_before_it(proven):
    position = proven.position_of(Debited, after=proven.position_of(Credited, after=444))
    before = (await proven.entry(position - 1)).occurred_at
    await proven.edit_entry(position, occurred_at=before.replace(year=2025))
    await proven.cover_up_tree()
    assert_found(await proven.verify(), "replay", position)


@pytest.mark.parametrize("code", ["wallet_frozen", "insufficient_funds"])
async def test_a_rejection_with_another_code(proven, code):
    position = next(
        entry.position
        for entry in proven.history.entries[300:]
        if isinstance(entry.event, CommandRejected)
        and entry.event.code not in (code, "reference_conflict")
    )
    await proven.edit_entry(position, code=code)
    await proven.cover_up()
    assert_found(await proven.verify(), "rejections", position)


async def test_a_rejection_of_what_the_rules_would_have_accepted(proven):
    """A debit that was accepted, made into one that is said to have failed."""
    last = max(
        entry.position
        for entry in proven.history.entries
        if isinstance(entry.event, CommandRejected) and entry.event.code == "insufficient_funds"
    )
    event = (await proven.entry(last)).event
    command = msgspec.structs.replace(event.command, amount=1)
    await proven.edit_entry(last, command=command)
    await proven.cover_up()
    proof = await proven.verify()
    assert_found(proof, "rejections", last)
    assert "accepted" in check(proof, "rejections").findings[0].message
    assert "digests" in failed(proof)


async def test_a_rejection_at_another_version_of_the_wallet(proven):
    position = proven.position_of(CommandRejected, after=500)
    version = (await proven.entry(position)).event.wallet_version
    await proven.edit_entry(position, wallet_version=version + 1)
    await proven.cover_up()
    assert_found(await proven.verify(), "rejections", position)


async def test_a_rejection_that_has_a_version(proven):
    position = proven.position_of(CommandRejected, after=500)
    await proven.edit_entry(position, version=77_777)
    await proven.cover_up_tree()
    assert_found(await proven.verify(), "replay", position)


async def test_a_rejection_of_another_wallets_command(proven):
    position = proven.position_of(CommandRejected, after=500)
    command = (await proven.entry(position)).event.command
    other = msgspec.structs.replace(command, wallet_id="wal_other")
    await proven.edit_entry(position, command=other, body_digest=body_digest(other).hex())
    await proven.cover_up()
    assert_found(await proven.verify(), "digests", position)


async def test_lots_that_ran_out_before_a_refused_command(proven):
    """The engine lets them expire first, as entries of that command."""
    position = next(
        expired.position
        for expired, refused in pairwise(proven.history.entries[300:])
        if isinstance(expired.event, Expired)
        and isinstance(refused.event, CommandRejected)
        and expired.wallet_id == refused.wallet_id
    )
    refused = await proven.entry(position + 1)
    await proven.edit_entry(position, offset=refused.offset, last=False)
    await proven.cover_up()
    proof = await proven.verify()
    assert proof.passed, proof.first
    event = (await proven.entry(position)).event
    await proven.edit_entry(position, expires_at=event.expires_at.replace(microsecond=7))
    await proven.cover_up()
    assert_found(await proven.verify(), "replay", position)


async def test_a_wallet_that_a_refused_command_is_said_to_have_opened(proven):
    refused = HistoryBuilder(1).create("wal_new").debit("wal_new", 5)
    other = await Proven.write(proven.database, refused)
    await other.edit_entry(0, offset=(await other.entry(1)).offset, last=False)
    await other.cover_up()
    assert_found(await other.verify(1), "replay", 0)


async def test_a_conflict_with_nothing(proven):
    conflict = _conflict(proven)
    original = next(
        entry.position
        for entry in proven.history.entries
        if getattr(entry.event, "reference", None) == conflict.event.command.reference
    )
    assert original < conflict.position
    forged = msgspec.structs.replace(conflict.event.command, reference="nobody_took_this")
    await proven.edit_entry(conflict.position, command=forged)
    await proven.cover_up()
    assert_found(await proven.verify(), "rejections", conflict.position)


async def test_a_conflict_with_what_comes_later(proven):
    conflict = _conflict(proven)
    turn = int(conflict.event.command.reference.removeprefix("taken"))
    # the same wallet's turn comes again after six
    forged = msgspec.structs.replace(conflict.event.command, reference=f"taken{turn + 6}")
    await proven.edit_entry(conflict.position, command=forged)
    await proven.cover_up()
    proof = await proven.verify()
    assert_found(proof, "rejections", conflict.position)
    assert "nothing before it" in check(proof, "rejections").findings[0].message


async def test_a_conflict_with_the_same_body(proven):
    conflict = _conflict(proven)
    original = next(
        entry
        for entry in proven.history.entries
        if getattr(entry.event, "reference", None) == conflict.event.command.reference
    )
    forged = msgspec.structs.replace(conflict.event.command, amount=original.event.amount)
    await proven.edit_entry(conflict.position, command=forged, body_digest=original.body_digest)
    await proven.cover_up()
    assert_found(await proven.verify(), "rejections", conflict.position)


def _conflict(proven: Proven):
    return next(
        entry
        for entry in proven.history.entries[200:]
        if isinstance(entry.event, CommandRejected) and entry.event.code == "reference_conflict"
    )


@pytest.mark.parametrize("kind", [Debited, Expired, WrittenOff, CommandRejected])
async def test_an_id_that_is_not_its_commands(proven, kind):
    position = proven.position_of(kind, after=200)
    await proven.edit_entry(position, command_id="00" * 16)
    await proven.cover_up()
    assert_found(await proven.verify(), "digests", position)


async def test_an_id_that_is_none(proven):
    position = proven.position_of(Debited, after=200)
    entry = msgspec.structs.replace(await proven.entry(position), command_id="no id at all")
    await proven.tamper(
        "UPDATE log SET data = $1 WHERE shard = 0 AND position = $2", encode_entry(entry), position
    )
    assert_found(await proven.verify(), "columns", position)


@pytest.mark.parametrize("kind", [Debited, Expired, WrittenOff, CommandRejected, Credited])
async def test_a_body_digest_that_is_not_its_commands(proven, kind):
    position = proven.position_of(kind, after=200)
    await proven.edit_entry(position, body_digest="00" * 16)
    await proven.cover_up()
    assert_found(await proven.verify(), "digests", position)


async def test_another_description_under_the_same_digest(proven):
    position = proven.position_of(ToppedUp, after=200)
    await proven.edit_entry(position, description="A gift")
    await proven.cover_up()
    assert_found(await proven.verify(), "digests", position)


async def test_an_offset_out_of_order(proven):
    position = proven.position_of(Debited, after=600)
    await proven.edit_entry(position, offset=3)
    await proven.cover_up()
    assert_found(await proven.verify(), "commands", position)


async def test_an_offset_that_is_not_decided(proven):
    last = len(proven.history.entries) - 1
    await proven.tamper("UPDATE shards SET next_offset = next_offset - 1")
    assert_found(await proven.verify(), "commands", last)


async def test_an_outcome_not_marked_as_the_last(proven):
    position = proven.position_of(Debited, after=600)
    await proven.edit_entry(position, last=False)
    await proven.cover_up()
    assert_found(await proven.verify(), "commands", position)


async def test_a_shard_that_ends_within_a_command(proven):
    last = len(proven.history.entries) - 1
    await proven.edit_entry(last, last=False)
    await proven.cover_up()
    assert_found(await proven.verify(), "commands", last)


async def test_a_command_cut_in_two(proven):
    position = proven.position_of(WrittenOff)
    await proven.edit_entry(position, last=True)
    await proven.cover_up()
    assert_found(await proven.verify(), "replay", position)


@pytest.mark.parametrize("apart", ["offset", "occurred_at"])
async def test_entries_of_one_command_that_do_not_belong_together(proven, apart):
    position = proven.position_of(WrittenOff)
    entry = await proven.entry(position)
    earlier = {
        "offset": (entry.offset or 0) - 1,
        "occurred_at": entry.occurred_at - timedelta(microseconds=1),
    }
    await proven.edit_entry(position, **{apart: earlier[apart]})
    await proven.cover_up()
    assert_found(await proven.verify(), "commands", position)


async def test_a_close_without_its_write_off(proven):
    position = proven.position_of(WrittenOff)
    await proven.tamper("DELETE FROM log WHERE position >= $1", position)
    closed = next(e for e in proven.history.entries if isinstance(e.event, Closed))
    await proven.tamper(
        "INSERT INTO log SELECT 0, $1, $2, $3, $4, 'closed', $5, $6",
        *(position, closed.wallet_id, closed.version - 1, bytes.fromhex(closed.command_id)),
        closed.occurred_at,
        encode_entry(
            msgspec.structs.replace(closed, position=position, version=closed.version - 1)
        ),
    )
    await proven.cover_up()
    assert_found(await proven.verify(), "replay", position)
