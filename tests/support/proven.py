"""A database that everything is right about, and ways to make one thing wrong.

proven = await Proven.write(connection, history)
await proven.edit_entry(40, amount=1)
assert (await proven.verify()).first.position == 40
"""

from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from engine.merkle import Frontier, Tiler, leaf_hash
from engine.wallet import encode_wallet, fingerprint
from projections.catalog import find_all_live
from projections.models import PROJECTIONS, Generation
from projections.projector import advance, read_behind
from projections.verification import Proof, verify_through
from schemas.entries import Entry, decode_entry, encode_entry
from schemas.events import TAGS
from tests.support.history import HistoryBuilder

_DUE = "INSERT INTO due (shard, at, wallet_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_TILE = "INSERT INTO tiles (shard, level, index, hashes) VALUES ($1, $2, $3, $4)"
_SNAPSHOT = """
INSERT INTO snapshots (shard, wallet_id, version, position, leaf_hash, fingerprint, state)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


def busy_history(shard: int = 0, rounds: int = 30) -> HistoryBuilder:
    """Every kind of entry, on wallets of two merchants in three currencies; 26 entries a round."""
    history = HistoryBuilder(shard)
    wallets = [f"wal_s{shard}n{number}" for number in range(6)]
    for number, wallet in enumerate(wallets):
        history.create(
            wallet,
            merchant_id=f"mch_{number % 2}",
            currency=("GHS", "JPY", "KWD")[number % 3],
            metadata={"share": 0.5, "n": number},
        )
    for turn in range(rounds):
        wallet, other = wallets[turn % 6], wallets[(turn + 1) % 6]
        history.topup(wallet, 5_000 + turn, description="Top-up par carte préférée")
        history.credit(wallet, 700, lasts=30, priority=10).credit(wallet, 90, lasts=10_000_000)
        history.credit(other, 300, lasts=5, priority=900).wait(1.5)
        for debit in range(10):
            history.debit(wallet, 37 + debit, metadata={"units": debit}).wait(0.1)
        history.debit(wallet, 10**9)
        history.debit(wallet, 10, reference=f"taken{turn}")
        history.debit(wallet, 10, reference=f"taken{turn}")
        history.debit(wallet, 11, reference=f"taken{turn}")
        history.freeze(other).freeze(other).debit(other, 1).topup(other, 9).unfreeze(other)
        history.debit("wal_unknown", 5).topup(wallet, 5, currency="USD")
        history.wait(5).expire(other).debit(other, 10**9)
        history.wait(40).debit(wallet, 1)
    # a repeat, which leaves an offset without an entry
    history.credit(wallets[0], 50).debit(wallets[0], 10, reference="taken0")
    return history.close(wallets[0]).debit(wallets[0], 1)


@dataclass
class Proven:
    """A database with one history, tampered with and verified through one connection."""

    database: asyncpg.Connection
    history: HistoryBuilder

    @classmethod
    async def write(cls, database: asyncpg.Connection, history: HistoryBuilder) -> "Proven":
        """All that an engine and a projector would have left behind in an installed database."""
        await history.write(database)
        for wallet_id, wallet in history.wallets.items():
            for lot in wallet.lots:
                if lot.expires_at is not None:
                    await database.execute(_DUE, history.shard, lot.expires_at, wallet_id)
        proven = cls(database, history)
        await proven.write_tiles()
        await proven.write_snapshots()
        await project(database)
        return proven

    @property
    def shard(self) -> int:
        return self.history.shard

    async def verify(self, *shards: int) -> Proof:
        """Verify these shards, or all; within the transaction that the connection is in, if any."""
        return await verify_through(self.database, None, shards or None)

    def position_of(self, kind: type, after: int = 0) -> int:
        """The first entry of this kind from a position on."""
        entries = self.history.entries[after:]
        return next(entry.position for entry in entries if isinstance(entry.event, kind))

    async def entry(self, position: int) -> Entry:
        return decode_entry(
            await self.database.fetchval(
                "SELECT data FROM log WHERE shard = $1 AND position = $2", self.shard, position
            )
        )

    async def tamper(self, statement: str, *arguments: Any) -> None:
        """As its owner, with the log's guard off."""
        await self.database.execute("ALTER TABLE log DISABLE TRIGGER log_is_append_only")
        status = await self.database.execute(statement, *arguments)
        await self.database.execute("ALTER TABLE log ENABLE TRIGGER log_is_append_only")
        assert not status.endswith(" 0"), f"{statement} changed nothing"

    async def edit_entry(self, position: int, **changes: Any) -> None:
        """Change fields of an entry, or else of its event; its columns follow."""
        entry = await self.entry(position)
        own = {name: changes.pop(name) for name in entry.__struct_fields__ if name in changes}
        event = msgspec.structs.replace(entry.event, **changes)
        await self.put_entry(msgspec.structs.replace(entry, **{"event": event, **own}))

    async def put_entry(self, entry: Entry) -> None:
        """Put an entry in the place of the one at its position."""
        await self.tamper(
            """
            UPDATE log SET wallet_id = $3, version = $4, command_id = $5, type = $6,
                           occurred_at = $7, data = $8
             WHERE shard = $1 AND position = $2
            """,
            self.shard,
            entry.position,
            entry.wallet_id,
            entry.version,
            bytes.fromhex(entry.command_id),
            TAGS[type(entry.event)],
            entry.occurred_at,
            encode_entry(entry),
        )

    async def cover_up(self) -> None:
        """Recompute the tree, the tiles and the read models, as one who knows how would do."""
        await self.cover_up_tree()
        for table in ("wallets_1", "transactions_1", "lots_1", "postings_1"):
            await self.database.execute(f"DELETE FROM {table}")
        await self.database.execute("UPDATE checkpoints SET position = 0")
        await project(self.database)

    async def cover_up_tree(self) -> None:
        """Recompute the tree and the tiles."""
        frontier = Frontier()
        frontier.extend(await self._leaves())
        await self.tamper(
            "UPDATE shards SET tree = $2, position = $3 WHERE shard = $1",
            self.shard,
            frontier.to_bytes(),
            frontier.size,
        )
        await self.write_tiles()

    async def write_tiles(self) -> None:
        tiler = Tiler()
        tiler.add(await self._leaves())
        await self.database.execute("DELETE FROM tiles WHERE shard = $1", self.shard)
        for tile in tiler.take_changed():
            await self.database.execute(_TILE, self.shard, tile.level, tile.index, tile.hashes)

    async def write_snapshots(self) -> None:
        """Of the last state of every wallet."""
        last = {entry.wallet_id: entry for entry in self.history.entries if entry.version}
        for wallet_id, entry in last.items():
            wallet = self.history.wallets[wallet_id]
            await self.database.execute(
                _SNAPSHOT,
                self.shard,
                wallet_id,
                wallet.version,
                entry.position,
                leaf_hash(encode_entry(entry)),
                fingerprint(),
                encode_wallet(wallet),
            )

    async def _leaves(self) -> list[bytes]:
        rows = await self.database.fetch(
            "SELECT data FROM log WHERE shard = $1 ORDER BY position", self.shard
        )
        return [leaf_hash(row["data"]) for row in rows]


async def project(database: asyncpg.Connection) -> None:
    """Bring every read model up to the log."""
    live = await find_all_live(database, PROJECTIONS.values())
    models = [Generation(model, live[name].generation) for name, model in PROJECTIONS.items()]
    while ranges := await read_behind(database, models):
        for entries in ranges:
            await advance(database, entries)
