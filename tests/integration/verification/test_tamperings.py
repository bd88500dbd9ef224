"""Whatever somebody with every right on the database changes, is found, and where is said.

Each is done twice: as it is, and with everything that can be computed made to fit afterwards, which
takes the auditor's signed checkpoints to find.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from api.install import install
from cli.stack import Stack
from engine.merkle import leaf_hash, root_of
from projections.verification import CHECKS, Proof, SignedShard, verify_through
from projections.wallet_trees import build_tree, count_tree
from schemas.entries import encode_entry
from schemas.events import Debited
from tests.support.databases import connection_to, fresh_database
from tests.support.findings import check, failed
from tests.support.history import HistoryBuilder
from tests.support.proven import Proven, busy_history
from tests.support.superuser import superuser_connection

POSITION = 444
EARLIER = 300
"""At this size and at the whole log's the auditor has checkpoints."""


async def signed_at(proven: Proven, size: int) -> SignedShard:
    entries = proven.history.entries[:size]
    tree = await count_tree(proven.database, proven.shard, size)
    return SignedShard(
        source=f"checkpoint-{size}.txt",
        shard=proven.shard,
        size=size,
        log_root=root_of(leaf_hash(encode_entry(entry)) for entry in entries),
        wallets=tree.wallets,
        wallets_root=tree.root,
    )


@pytest.fixture
async def signed(proven) -> list[SignedShard]:
    """What the auditor has kept, before anybody changes anything."""
    return [await signed_at(proven, size) for size in (len(proven.history.entries), EARLIER)]


@pytest_asyncio.fixture(scope="module")
async def written(stack: Stack) -> AsyncIterator[tuple[asyncpg.Connection, HistoryBuilder]]:
    """Written by the service's role, and then in the hands of a superuser."""
    history = busy_history()
    async with fresh_database(stack.database_url) as url:
        await install(url)
        async with connection_to(url) as owner:
            await Proven.write(owner, history)
        async with superuser_connection(stack, url) as connection:
            yield connection, history


@pytest.fixture
async def superuser(proven) -> Proven:
    """Not held up by any trigger, as only a superuser can have it."""
    assert await proven.database.fetchval("SELECT usesuper FROM pg_user WHERE usename = user")
    await proven.database.execute("SET LOCAL session_replication_role = replica")
    return proven


async def verify(proven: Proven, signed: list[SignedShard]) -> Proof:
    return await verify_through(proven.database, None, None, signed)


async def changed_amount(proven: Proven) -> int:
    position = proven.position_of(Debited, after=POSITION)
    entry = await proven.entry(position)
    await proven.edit_entry(position, amount=entry.event.amount - 1)
    return position


async def dropped_entry(proven: Proven) -> int:
    await proven.tamper("DELETE FROM log WHERE position = $1", POSITION)
    return POSITION


async def dropped_entry_with_the_rest_moved_up(proven: Proven) -> int:
    await dropped_entry(proven)
    later = proven.history.entries[POSITION + 1 :]
    await proven.tamper("DELETE FROM log WHERE position > $1", POSITION)
    for entry in later:
        moved = msgspec.structs.replace(entry, position=entry.position - 1)
        await insert(proven, moved)
    return POSITION


async def swapped_entries(proven: Proven) -> int:
    first, second = proven.history.entries[POSITION : POSITION + 2]
    await proven.tamper("DELETE FROM log WHERE position IN ($1, $2)", POSITION, POSITION + 1)
    await insert(proven, msgspec.structs.replace(second, position=POSITION))
    await insert(proven, msgspec.structs.replace(first, position=POSITION + 1))
    return POSITION


async def added_entry(proven: Proven) -> int:
    last = proven.history.entries[-1]
    wallet_id = "wal_new"
    added = HistoryBuilder(0, last.occurred_at).create(wallet_id).entries[0]
    position = len(proven.history.entries)
    await insert(proven, msgspec.structs.replace(added, position=position, offset=10**6))
    return position


async def insert(proven: Proven, entry) -> None:
    await proven.tamper(
        "INSERT INTO log SELECT shard, $2, 'x', 0, 'x', 'x', occurred_at, 'x' FROM log"
        " WHERE position = $1",
        *(0, entry.position),
    )
    await proven.put_entry(entry)


class Tampering(NamedTuple):
    change: Callable[[Proven], Awaitable[int]]
    found_by: str
    # once the tree and the tiles are made to fit as well
    then_by: str
    # how far behind the first wrong position that which is found may stand
    behind: int = 0


LOG = [
    Tampering(changed_amount, "root", "replay"),
    Tampering(dropped_entry, "positions", "positions"),
    Tampering(dropped_entry_with_the_rest_moved_up, "root", "transactions", behind=1),
    Tampering(swapped_entries, "root", "commands", behind=1),
    Tampering(added_entry, "positions", "commands"),
]


def named(tamperings):
    return pytest.mark.parametrize("tampering", tamperings, ids=lambda each: each.change.__name__)


async def test_before_anything_is_changed_everything_holds(superuser, signed):
    proof = await verify(superuser, signed)
    assert proof.passed, proof.first
    assert {result.name for result in proof.checks} >= set(CHECKS) - {
        "commands_topic",
        "events_topic",
    }
    assert check(proof, "checkpoint").checked == 2
    assert check(proof, "wallet_trees").checked == sum(each.wallets for each in signed)


@named(LOG)
async def test_a_change_of_the_log_is_found_and_its_position_named(superuser, tampering):
    position = await tampering.change(superuser)
    proof = await verify(superuser, [])
    assert tampering.found_by in failed(proof)
    assert proof.first is not None
    assert (proof.first.shard, proof.first.position) == (0, position), proof.first
    positions = {f.position for f in check(proof, tampering.found_by).findings}
    assert position in positions


@named(LOG)
async def test_it_is_found_as_well_when_all_is_made_to_fit(superuser, signed, tampering):
    position = await tampering.change(superuser)
    await superuser.cover_up_tree()
    proof = await verify(superuser, signed)
    assert tampering.then_by in failed(proof)
    found = {f.position for f in check(proof, tampering.then_by).findings}
    assert found & set(range(position, position + tampering.behind + 1)), found
    if tampering.change is not added_entry:
        messages = [finding.message for finding in check(proof, "checkpoint").findings]
        assert any(f"the first {EARLIER} are" in m or "its end was cut" in m for m in messages)


async def test_a_forged_tail_that_obeys_every_rule_is_found_by_the_checkpoint(superuser, signed):
    forged = busy_history(rounds=20)
    begins = next(
        position
        for position, (ours, theirs) in enumerate(
            zip(superuser.history.entries, forged.entries, strict=False)
        )
        if ours != theirs
    )
    wallet = "wal_s0n1"
    while len(forged.entries) <= len(superuser.history.entries) + 10:
        forged.topup(wallet, 1_000).wait(1)
    await put_in_place(superuser, forged)

    unsigned = await verify(superuser, [])
    assert unsigned.passed, "the forger made a mistake: it is to be seen that only the key helps"

    proof = await verify(superuser, signed)
    assert failed(proof) == {"checkpoint"}
    [finding] = check(proof, "checkpoint").findings
    assert proof.first == finding
    assert EARLIER < begins < len(superuser.history.entries)
    for part in (
        f"the first {len(superuser.history.entries)} entries are not those",
        f"checkpoint-{len(superuser.history.entries)}.txt",
        f"the first {EARLIER} are, so one from position {EARLIER} on was changed",
    ):
        assert part in finding.message


async def test_a_tail_that_was_cut_off_with_everything_is_found_by_the_checkpoint(
    superuser, signed
):
    await put_in_place(superuser, busy_history(rounds=20))
    assert (await verify(superuser, [])).passed
    proof = await verify(superuser, signed)
    size = len(busy_history(rounds=20).entries)
    [finding] = check(proof, "checkpoint").findings
    assert finding.position == size
    assert f"the log has {size}: its end was cut off" in finding.message


async def put_in_place(proven: Proven, forged: HistoryBuilder) -> None:
    """Another history, with all that an engine and a projector would have made of it."""
    await proven.tamper("DELETE FROM log")
    tables = ("due", "snapshots", "tiles", "wallets_1", "transactions_1", "lots_1", "postings_1")
    for table in tables:
        await proven.database.execute(f"DELETE FROM {table}")
    await proven.database.execute("UPDATE checkpoints SET position = 0")
    await Proven.write(proven.database, forged)


@pytest.mark.parametrize(
    ("model", "change"),
    [
        ("wallets", "UPDATE wallets_1 SET balance = balance + 1 WHERE wallet_id = 'wal_s0n2'"),
        ("wallets", "UPDATE wallets_1 SET status = 'frozen' WHERE wallet_id = 'wal_s0n2'"),
        ("wallets", "DELETE FROM wallets_1 WHERE wallet_id = 'wal_s0n2'"),
        ("lots", "UPDATE lots_1 SET remaining = remaining + 1 WHERE wallet_id = 'wal_s0n2'"),
        ("transactions", "UPDATE transactions_1 SET amount = amount + 1 WHERE position = {at}"),
        ("transactions", "DELETE FROM transactions_1 WHERE position = {at}"),
        ("postings", "UPDATE postings_1 SET amount = amount + 1 WHERE position = {at}"),
        ("postings", "UPDATE postings_1 SET amount = -amount WHERE position = {at}"),
        ("postings", "DELETE FROM postings_1 WHERE position = {at} AND line = 1"),
    ],
)
async def test_an_edited_read_model_is_found_and_the_row_named(superuser, signed, model, change):
    at = superuser.position_of(Debited, after=POSITION)
    status = await superuser.database.execute(change.replace("{at}", str(at)))
    assert not status.endswith(" 0")
    proof = await verify(superuser, signed)
    assert failed(proof) <= {model, "zero_sum"}
    finding = check(proof, model).findings[0]
    assert finding.shard == 0
    assert (f"position {at}" if "{at}" in change else "wal_s0n2") in finding.message
    if "+ 1 WHERE position" in change and model == "postings":
        assert "sum to" in check(proof, "zero_sum").findings[0].message


@pytest.mark.parametrize("column", ["wallet_id", "version", "command_id", "type", "occurred_at"])
async def test_a_changed_column_is_found_and_named(superuser, signed, column):
    value = {
        "wallet_id": "'wal_other'",
        "version": "9999",
        "command_id": "'\\x00'",
        "type": "'frozen'",
        "occurred_at": "occurred_at - interval '1 s'",
    }[column]
    await superuser.tamper(f"UPDATE log SET {column} = {value} WHERE position = {POSITION}")
    proof = await verify(superuser, signed)
    assert proof.first is not None
    assert (proof.first.check, proof.first.position) == ("columns", POSITION)
    assert f"column {column} is" in proof.first.message
    # what was signed is the entry itself, and counts of wallets and versions
    counted = {"wallet_trees"} if column in ("wallet_id", "version") else set()
    assert failed(proof) == {"columns"} | counted


async def test_a_tree_of_wallets_that_was_signed_with_a_wallet_left_out(superuser, signed):
    short = msgspec.structs.replace(signed[1], wallets=signed[1].wallets - 1)
    proof = await verify(superuser, [signed[0], short])
    assert failed(proof) == {"wallet_trees"}
    assert "was not counted from this log" in check(proof, "wallet_trees").findings[0].message


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("kept tree", "UPDATE wallet_trees SET root = set_byte(root, 0, 255 - get_byte(root, 0))"),
        ("kept tree", "UPDATE wallet_trees SET wallets = wallets - 1"),
        (
            "tallies",
            "UPDATE wallet_tallies SET version = version + 1 WHERE wallet_id = 'wal_s0n1'",
        ),
        ("tallies", "DELETE FROM wallet_tallies WHERE wallet_id = 'wal_s0n1'"),
    ],
)
async def test_what_the_next_checkpoint_would_sign_is_looked_at(superuser, what, change):
    size = len(superuser.history.entries)
    await build_tree(superuser.database, 0, size)
    before = await verify(superuser, [])
    assert before.passed
    assert check(before, "wallet_trees").checked == 2 * 7
    assert await superuser.database.execute(change) == f"{change.split()[0]} 1"
    proof = await verify(superuser, [])
    assert failed(proof) == {"wallet_trees"}
    [finding] = check(proof, "wallet_trees").findings
    assert f"the {what}" in finding.message


async def test_changed_tiles_prove_nothing(superuser, signed):
    await superuser.tamper(
        "UPDATE tiles SET hashes = set_byte(hashes, 70, 255 - get_byte(hashes, 70))"
        " WHERE level = 1"
    )
    proof = await verify(superuser, signed)
    assert {"tiles", "checkpoint"} == failed(proof)
    assert "don't prove that the log has only grown" in (
        check(proof, "checkpoint").findings[0].message
    )


async def test_a_shard_that_was_signed_and_is_gone(superuser, signed):
    gone = msgspec.structs.replace(signed[0], shard=5)
    proof = await verify(superuser, [*signed, gone])
    [finding] = check(proof, "checkpoint").findings
    assert (finding.shard, "no such shard" in finding.message) == (5, True)
