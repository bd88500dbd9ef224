"""Makes checkpoints that may be signed: of one moment, and of the log that was signed before.

A log that signs two histories is worth nothing, so what was signed last is proven to be the
beginning of what is signed now. Otherwise nothing is signed.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from asyncpg import Connection, Record

from audit.checkpoints import ShardCheckpoint
from audit.errors import CheckpointRunningError, HistoryChangedError
from engine.merkle import Frontier, ReadNode, consistency_proof, tree_root, verify_consistency
from projections.log_tree import read_log_nodes
from projections.wallet_trees import build_tree

# Any number will do, as long as every release asks for the same lock.
_LOCK: Final = 0x636865636B

_SHARDS: Final = "SELECT shard, position, tree FROM shards ORDER BY shard"

OnShard = Callable[[int, int], None]
"""Hears how many shards are done, and of how many."""


@asynccontextmanager
async def exclusively(connection: Connection) -> AsyncIterator[None]:
    """Nobody else makes trees of wallets meanwhile; raises CheckpointRunningError if one does."""
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        raise CheckpointRunningError(
            "Another `wallet checkpoint` is at work on this database: wait until it is done, or "
            "stop it if it runs on a schedule."
        )
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def take_checkpoint(
    connection: Connection,
    before: Sequence[Sequence[ShardCheckpoint]] = (),
    on_shard: OnShard = lambda _done, _of: None,
) -> list[ShardCheckpoint]:
    """Every shard at the size that it has now; to be called while `exclusively`.

    `before` are the checkpoints that were signed before. Raises HistoryChangedError if one of them
    is not the beginning of the log any more, or if the log does not come to its own root.
    """
    # a shard's size and the edge of its tree stand in one row, so they belong together
    rows = await connection.fetch(_SHARDS)
    signed = [checkpoint for file in before for checkpoint in file]
    _check_shards(rows, signed)
    taken = []
    for done, row in enumerate(rows):
        on_shard(done, len(rows))
        taken.append(
            await _take(connection, row, [old for old in signed if old.shard == row["shard"]])
        )
    on_shard(len(rows), len(rows))
    return taken


async def _take(
    connection: Connection, row: Record, signed: Sequence[ShardCheckpoint]
) -> ShardCheckpoint:
    shard, size = row["shard"], row["position"]
    root = Frontier.from_bytes(size, row["tree"]).root()
    _check_sizes(shard, size, signed)
    sizes = [old.size for old in signed]

    def prove(node: ReadNode) -> tuple[bytes, list[list[bytes]]]:
        proofs = [consistency_proof(old, size, node) for old in sizes]
        return tree_root(size, node), proofs

    computed, proofs = prove(await read_log_nodes(connection, shard, size, prove))
    if computed != root:
        raise HistoryChangedError(
            f"Shard {shard}: the stored tree does not come to the root of the shard's row. Nothing "
            "was signed. `wallet verify` says which of the two was changed, and where."
        )
    for old, proof in zip(signed, proofs, strict=True):
        if not verify_consistency(old.size, size, old.log_root, root, proof):
            raise _changed(shard, old)
    tree = await build_tree(connection, shard, size)
    checkpoint = ShardCheckpoint(shard, size, root, tree.wallets, tree.root)
    for old in signed:
        if old.size == size and old != checkpoint:
            raise _changed(shard, old)
    return checkpoint


def _check_shards(rows: Sequence[Record], signed: Sequence[ShardCheckpoint]) -> None:
    missing = {old.shard for old in signed} - {row["shard"] for row in rows}
    if missing:
        raise HistoryChangedError(
            f"Shard {min(missing)} was signed before, and this database has none. Nothing was "
            "signed: is it the database of the service whose key this is?"
        )


def _check_sizes(shard: int, size: int, signed: Sequence[ShardCheckpoint]) -> None:
    longest = max((old.size for old in signed), default=0)
    if longest > size:
        raise HistoryChangedError(
            f"Shard {shard} has {size} entries, and {longest} were signed before: the database "
            "lost history. Nothing was signed. After a restore, run `wallet roll-forward` "
            "first; otherwise keep the database as it is and look for who cut it."
        )


def _changed(shard: int, old: ShardCheckpoint) -> HistoryChangedError:
    return HistoryChangedError(
        f"Shard {shard}: the first {old.size} entries are not those that were signed before. "
        "Nothing was signed. Keep the database as it is, and run `wallet verify` with the "
        "checkpoint file and the verifier key."
    )
