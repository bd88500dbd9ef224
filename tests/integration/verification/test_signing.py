"""What is signed is of one moment, and only ever goes on from what was signed before."""

import msgspec
import pytest

from audit.checkpoints import ShardCheckpoint
from audit.errors import CheckpointRunningError, HistoryChangedError
from audit.signing import exclusively, take_checkpoint
from engine.merkle import leaf_hash, root_of
from projections.wallet_trees import count_tree
from schemas.entries import encode_entry
from schemas.events import Debited
from tests.support.databases import connection_to
from tests.support.proven import Proven, busy_history


async def checkpoint_at(proven: Proven, size: int) -> ShardCheckpoint:
    """What would have been signed when the shard had this size."""
    root = root_of(leaf_hash(encode_entry(entry)) for entry in proven.history.entries[:size])
    tree = await count_tree(proven.database, proven.shard, size)
    return ShardCheckpoint(proven.shard, size, root, tree.wallets, tree.root)


async def test_every_shard_is_signed_at_its_size(proven):
    await Proven.write(proven.database, busy_history(shard=1, rounds=2))
    taken = await take_checkpoint(proven.database)
    assert taken[0] == await checkpoint_at(proven, len(proven.history.entries))
    assert [checkpoint.shard for checkpoint in taken] == [0, 1]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 700])
async def test_an_older_one_that_is_the_beginning_is_gone_on_from(proven, size):
    before = await checkpoint_at(proven, size)
    (taken,) = await take_checkpoint(proven.database, [[before], [before]])
    assert await take_checkpoint(proven.database, [[before], [taken]]) == [taken]


async def test_what_is_not_in_tiles_yet_is_signed_as_well(proven):
    before = await checkpoint_at(proven, 300)
    taken = await take_checkpoint(proven.database, [[before]])
    await proven.database.execute("DELETE FROM tiles WHERE index > 0")
    assert await take_checkpoint(proven.database, [[before]]) == taken
    await proven.database.execute("DELETE FROM tiles")
    assert await take_checkpoint(proven.database, [[before]]) == taken


@pytest.mark.parametrize("size", [600, 850])
async def test_a_changed_entry_with_everything_made_to_fit_is_not_signed(proven, size):
    assert len(proven.history.entries) == 850
    before = await checkpoint_at(proven, size)
    position = proven.position_of(Debited, after=500)
    await proven.edit_entry(position, description="something else")
    await proven.cover_up()
    with pytest.raises(HistoryChangedError, match=f"the first {before.size} entries are not"):
        await take_checkpoint(proven.database, [[before]])
    at_its_end = await checkpoint_at(proven, position)
    await take_checkpoint(proven.database, [[at_its_end]])


async def test_a_log_that_was_cut_is_not_signed(proven):
    (before,) = await take_checkpoint(proven.database)
    await proven.tamper("DELETE FROM log WHERE position > 600")
    await proven.cover_up_tree()
    with pytest.raises(HistoryChangedError, match="lost history"):
        await take_checkpoint(proven.database, [[before]])


async def test_a_tree_that_does_not_come_to_the_rows_root_is_not_signed(proven):
    await proven.database.execute(
        "UPDATE shards SET tree = set_byte(tree, 0, 255 - get_byte(tree, 0))"
    )
    with pytest.raises(HistoryChangedError, match="does not come to the root"):
        await take_checkpoint(proven.database)


async def test_a_shard_that_is_gone_is_not_passed_over(proven):
    before = await checkpoint_at(proven, 10)
    gone = msgspec.structs.replace(before, shard=7)
    with pytest.raises(HistoryChangedError, match="Shard 7"):
        await take_checkpoint(proven.database, [[gone]])


async def test_one_is_made_at_a_time(stack, proven):
    async with (
        connection_to(stack.database_url) as first,
        connection_to(stack.database_url) as second,
    ):
        async with exclusively(first):
            with pytest.raises(CheckpointRunningError):
                async with exclusively(second):
                    pass
        async with exclusively(second):
            pass


async def test_engines_go_on_meanwhile_and_what_they_append_is_not_in_it(written):
    """The size and the root are of one row, whatever is appended while the tree is made."""
    connection, history = written
    proven = Proven(connection, history)
    transaction = connection.transaction()
    await transaction.start()
    size = len(history.entries)
    row = await connection.fetchrow("SELECT * FROM shards WHERE shard = 0")
    taken = []

    class Appending:
        """A connection through which an entry is appended before each later statement."""

        def __getattr__(self, name):
            return getattr(connection, name)

        async def fetch(self, query, *arguments):
            rows = await connection.fetch(query, *arguments)
            if "tree FROM shards" in query:
                await connection.execute(
                    "UPDATE shards SET position = position + 1, tree = $1", row["tree"] * 2
                )
                taken.append(query)
            return rows

    try:
        (checkpoint,) = await take_checkpoint(Appending())
        assert taken
        assert checkpoint == await checkpoint_at(proven, size)
    finally:
        await transaction.rollback()
