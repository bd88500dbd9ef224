"""Is the log still the one that checkpoints were signed of?

The root over as many entries as were signed is computed from the log, and the stored tree has to
prove that the log of now has only grown from there. The tree of wallets is counted anew.
"""

from collections.abc import Mapping, Sequence

from asyncpg import Connection
from msgspec import Struct

from engine.merkle import MerkleError, ReadNode, consistency_proof, verify_consistency
from projections.log_tree import read_log_nodes
from projections.verification.findings import Findings
from projections.wallet_trees import count_tree


class SignedShard(Struct, frozen=True, kw_only=True):
    """What somebody trustworthy has kept of one shard; `source` says where it is from.

    The log had `size` entries and this root, and `wallets` wallets in them; roots are 32 bytes.
    """

    source: str
    shard: int
    size: int
    log_root: bytes
    wallets: int
    wallets_root: bytes


class SignedCheck:
    """One shard beside what was signed of it."""

    def __init__(self, findings: Findings, shard: int, signed: Sequence[SignedShard]) -> None:
        self._findings = findings
        self._shard = shard
        self._signed = sorted(signed, key=lambda each: each.size)

    @property
    def sizes(self) -> set[int]:
        """At which of them the root of the log is wanted."""
        return {each.size for each in self._signed}

    async def finish(
        self, connection: Connection, size: int, root: bytes, roots: Mapping[int, bytes]
    ) -> None:
        """The log has `size` entries and this root, and these roots at the wanted sizes."""
        held = 0
        for each in self._signed:
            self._findings.checked("checkpoint")
            if each.size > size:
                self._report_cut(each, size)
            elif roots.get(each.size) != each.log_root:
                self._report_changed(each, held)
            else:
                held = each.size
                await self._check_growth(connection, each, size, root)
                await self._check_wallets(connection, each)

    async def _check_growth(
        self, connection: Connection, signed: SignedShard, size: int, root: bytes
    ) -> None:
        def prove(node: ReadNode) -> list[bytes]:
            return consistency_proof(signed.size, size, node)

        try:
            proof = prove(await read_log_nodes(connection, self._shard, size, prove))
            proven = verify_consistency(signed.size, size, signed.log_root, root, proof)
        except MerkleError:
            proven = False
        if not proven:
            self._report(
                "checkpoint",
                f"the stored tiles don't prove that the log has only grown from the {signed.size} "
                f"entries that {signed.source} signs, though these are unchanged: either an entry "
                "after them was changed, and `root` says which, or the tiles were; then delete "
                "the shard's rows from the table tiles, and the next engine to claim the shard "
                "writes them anew from the log",
            )

    async def _check_wallets(self, connection: Connection, signed: SignedShard) -> None:
        self._findings.checked("wallet_trees", signed.wallets)
        tree = await count_tree(connection, self._shard, signed.size)
        if (tree.wallets, tree.root) != (signed.wallets, signed.wallets_root):
            self._report(
                "wallet_trees",
                f"{signed.source} signs {signed.wallets} wallets in the first {signed.size} "
                f"entries with root {signed.wallets_root.hex()}, and the log has {tree.wallets} "
                f"with root {tree.root.hex()}: what was signed was not counted from this log",
            )

    def _report_cut(self, signed: SignedShard, size: int) -> None:
        self._report(
            "checkpoint",
            f"{signed.source} signs {signed.size} entries, and the log has {size}: its end was cut "
            "off, or the database was restored to an older point and the log not brought forward",
            position=size,
        )

    def _report_changed(self, signed: SignedShard, held: int) -> None:
        since = f"the first {held} are, so one from position {held} on was changed"
        self._report(
            "checkpoint",
            f"the first {signed.size} entries are not those that {signed.source} signs"
            f"{f'; {since}' if held else ''}: history was rewritten. Stop the engines, keep the "
            "database as it is, and compare it with the events topic and older backups",
        )

    def _report(self, check: str, message: str, *, position: int | None = None) -> None:
        self._findings.report(check, message, shard=self._shard, position=position)
