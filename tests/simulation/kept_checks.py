"""What is kept to make reading quick: tiles of the tree and snapshots of wallets."""

from engine.wallet import decode_wallet
from schemas.instants import to_microseconds
from tests.merkle_oracle import Oracle
from tests.simulation.database.rows import StoredRow, StoredSnapshot
from tests.simulation.database.tables import ShardTables
from tests.simulation.logged import logged
from tests.simulation.replayed import ReplayedShard
from tests.simulation.violation import Violation


def check_tiles(shard: int, tables: ShardTables) -> None:
    """Each tile has to be the one of the tree over the log, or the beginning of it."""
    oracle = Oracle([row.data for row in tables.log])  # type: ignore[no-untyped-call]
    expected: dict[tuple[int, int], bytes] = oracle.tiles(len(tables.log))  # type: ignore[no-untyped-call]
    for level, tiles in tables.tiles.items():
        for index, hashes in tiles.items():
            if not hashes or not expected.get((level, index), b"").startswith(hashes):
                raise Violation("tile", f"shard {shard}: tile {level}/{index} is not the log's")


def check_snapshots(shard: int, tables: ShardTables) -> None:
    """Each snapshot has to be what the entries up to its own make of the wallet."""
    snapshots = tables.snapshots
    ends = {row.position: wallet_id for wallet_id, row in snapshots.items()}
    waiting = set(ends.values())
    replayed = ReplayedShard(shard)
    for row in tables.log:
        if not ends:
            break
        if row.wallet_id in waiting:
            replayed.apply(logged(row.data))
        wallet_id = ends.pop(row.position, None)
        if wallet_id is not None:
            _check_snapshot(replayed, snapshots[wallet_id], wallet_id, row)
            waiting.discard(wallet_id)
    if ends:
        raise Violation("snapshot", f"shard {shard}: no entries {ends} for their snapshots")


def _check_snapshot(
    replayed: ReplayedShard, kept: StoredSnapshot, wallet_id: str, row: StoredRow
) -> None:
    state = decode_wallet(kept.state)
    wallet = replayed.wallets[wallet_id]
    lots = {
        number: (lot["remaining"], lot["expires_at"], lot["priority"])
        for (_, of, number), lot in replayed.lots.items()
        if of == wallet_id and number
    }
    held = {
        lot.id: (
            lot.remaining,
            None if lot.expires_at is None else to_microseconds(lot.expires_at),
            lot.priority,
        )
        for lot in state.lots
    }
    names = ("version", "balance", "status", "currency", "merchant_id", "environment")
    told = [getattr(state, name) for name in names]
    if (
        (row.wallet_id, row.version, row.leaf_hash) != (wallet_id, kept.version, kept.leaf_hash)
        or told != [wallet[name] for name in names]
        or held != lots
    ):
        raise Violation("snapshot", f"{wallet_id} was kept as {state}, and is {wallet}, {lots}")
