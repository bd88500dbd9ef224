"""What goes into a wallet's bundle: its entries below a checkpoint, and the proof of each.

Where only a part of the time is wanted, the wallet's last event before it and the first one after
it come along: their versions show that no event between was left out.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from asyncpg import Connection
from msgspec import Struct

from audit.bundles import BundleWriter, Period
from audit.checkpoint_files import load_unsigned_trees
from audit.checkpoints import ShardCheckpoint
from audit.errors import BundleError, HistoryChangedError
from audit.signing import exclusively
from engine.merkle import MerkleError, ReadNode, inclusion_proof, leaf_hash, verify_inclusion
from engine.replay import find_shard, read_wallet, shard_sizes
from projections.log_tree import read_log_nodes
from projections.wallet_trees import (
    WalletProof,
    WalletTreeMissingError,
    build_tree,
    prove_wallet,
    stored_tree,
)

_PROVEN_AT_ONCE: Final = 500


class Bundled(Struct, frozen=True):
    """What was written: `entries` in the bundle, of those that the wallet has by the checkpoint."""

    wallet_id: str
    shard: int
    checkpoint_entries: int
    entries: int
    wallet_entries: int
    last_version: int


class _Placed(Struct, frozen=True):
    """Of an entry's own bytes, what says whose it is and when."""

    wallet_id: str
    shard: int
    position: int
    version: int | None
    occurred_at: datetime


_decoder = msgspec.json.Decoder(_Placed)


async def write_bundle(
    connection: Connection, wallet_id: str, checkpoint: Path, path: Path, period: Period
) -> Bundled:
    """Put the wallet's history, as far as the checkpoint file goes, into a bundle at `path`.

    Raises BundleError if there is nothing to put in, HistoryChangedError if the log is not the one
    that the checkpoint is of, CheckpointError if the file is none.
    """
    shard = await find_shard(connection, wallet_id)
    if shard is None:
        raise BundleError(f"There is no wallet {wallet_id}: no engine has ever started here.")
    trees = load_unsigned_trees(checkpoint, shard)
    account = await _prove_account(connection, wallet_id, trees)
    entries = 0
    with BundleWriter.open(path, account, period) as bundle:
        async for page in _chosen(connection, account, period):
            for data, proof in await _proven(connection, trees, page):
                bundle.add(data, proof)
            entries += len(page)
    return Bundled(
        wallet_id, shard, trees.size, entries, account.leaf.entries, account.leaf.version
    )


async def _prove_account(
    connection: Connection, wallet_id: str, trees: ShardCheckpoint
) -> WalletProof:
    size = (await shard_sizes(connection)).get(trees.shard, 0)
    if size < trees.size:
        raise HistoryChangedError(
            f"Shard {trees.shard} has {size} entries, and the checkpoint is of {trees.size}: it is "
            "another service's, or the database lost history."
        )
    if await stored_tree(connection, trees.shard, trees.size) is None:
        async with exclusively(connection):
            await build_tree(connection, trees.shard, trees.size)
    try:
        account = await prove_wallet(connection, trees.shard, trees.size, wallet_id)
    except (WalletTreeMissingError, MerkleError) as error:
        raise _changed(trees.shard, trees.size, str(error)) from error
    if account is None:
        raise BundleError(
            f"The checkpoint has no entry of wallet {wallet_id}: is the id right, or is what "
            "happened to it newer than the checkpoint?"
        )
    if (account.tree.wallets, account.tree.root) != (trees.wallets, trees.wallets_root):
        raise _changed(trees.shard, trees.size, "its wallets come to another root")
    return account


async def _chosen(
    connection: Connection, account: WalletProof, period: Period
) -> AsyncIterator[list[tuple[_Placed, bytes]]]:
    """Pages of what belongs into the bundle, in order."""
    edges = _Edges(period)
    page: list[tuple[_Placed, bytes]] = []
    async for rows in read_wallet(connection, account.tree.shard, account.leaf.wallet_id):
        for row in rows:
            if row["position"] < account.tree.size:
                page += edges.take(_read(account, row["position"], row["data"]), row["data"])
        while len(page) >= _PROVEN_AT_ONCE:
            yield page[:_PROVEN_AT_ONCE]
            page = page[_PROVEN_AT_ONCE:]
    page += edges.rest()
    if page:
        yield page


class _Edges:
    """Lets through what is within the period, with one event before and one after it."""

    def __init__(self, period: Period) -> None:
        self._period = period
        self._before: list[tuple[_Placed, bytes]] = []
        self._is_over = False

    def take(self, placed: _Placed, data: bytes) -> list[tuple[_Placed, bytes]]:
        start, end = self._period.start, self._period.end
        if start is not None and placed.occurred_at < start:
            if placed.version is not None:
                self._before = [(placed, data)]
            return []
        if end is None or placed.occurred_at < end:
            return [*self.rest(), (placed, data)]
        if self._is_over or placed.version is None:
            return []
        self._is_over = True
        return [*self.rest(), (placed, data)]

    def rest(self) -> list[tuple[_Placed, bytes]]:
        """The event before, unless it has been let through."""
        before, self._before = self._before, []
        return before


def _read(account: WalletProof, position: int, data: bytes) -> _Placed:
    shard, wallet_id = account.tree.shard, account.leaf.wallet_id
    try:
        placed = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _changed(shard, account.tree.size, f"position {position}: {error}") from error
    # or another wallet's entry would be given away, as the columns are not under the tree
    if (placed.wallet_id, placed.shard, placed.position) != (wallet_id, shard, position):
        raise _changed(
            shard, account.tree.size, f"position {position} says that it is of {placed.wallet_id}"
        )
    return placed


async def prove_entries(
    connection: Connection, shard: int, size: int, positions: Sequence[int]
) -> list[list[bytes]]:
    """An inclusion proof for each position in the tree of the first `size` entries.

    Out of the stored tiles, and not compared with any root. Raises MerkleError if they don't do.
    """

    def prove(node: ReadNode) -> list[list[bytes]]:
        return [inclusion_proof(position, size, node) for position in positions]

    # the upper nodes are in all proofs, and each is computed from many hashes of a tile
    return prove(cache(await read_log_nodes(connection, shard, size, prove)))


async def _proven(
    connection: Connection, trees: ShardCheckpoint, page: Sequence[tuple[_Placed, bytes]]
) -> list[tuple[bytes, list[bytes]]]:
    positions = [placed.position for placed, _ in page]
    try:
        proofs = await prove_entries(connection, trees.shard, trees.size, positions)
    except MerkleError as error:
        raise _changed(trees.shard, trees.size, str(error)) from error
    proven = []
    for position, (_, data), proof in zip(positions, page, proofs, strict=True):
        if not verify_inclusion(leaf_hash(data), position, trees.size, proof, trees.log_root):
            raise _changed(trees.shard, trees.size, f"position {position} leads to another root")
        proven.append((data, proof))
    return proven


def _changed(shard: int, size: int, how: str) -> HistoryChangedError:
    return HistoryChangedError(
        f"The first {size} entries of shard {shard} are not those of the checkpoint ({how}). No "
        "bundle was written: `wallet verify` with the checkpoint says what was changed."
    )
