"""Are the trees of wallets that are kept, and the tallies they are made of, those of the log?"""

from asyncpg import Connection

from projections.verification.findings import Findings
from projections.wallet_trees import WalletTree, count_tree, newest_tree, tallied_tree


async def check_kept_trees(
    connection: Connection, findings: Findings, shard: int, size: int
) -> None:
    """Counts anew what the newest kept tree counts, and what the next one will go on from.

    Both of the log up to `size`; what came later is for the next verification.
    """
    findings.checked("wallet_trees", 0)
    kept = await newest_tree(connection, shard, size)
    tallied = await tallied_tree(connection, shard)
    if tallied is not None and tallied.size > size:
        tallied = None
    counted: dict[int, WalletTree] = {}
    for tree, what in ((kept, "kept tree of wallets"), (tallied, "tallies of wallets")):
        if tree is None:
            continue
        findings.checked("wallet_trees", tree.wallets)
        if tree.size not in counted:
            counted[tree.size] = await count_tree(connection, shard, tree.size)
        if tree != counted[tree.size]:
            findings.report(
                "wallet_trees",
                f"the {what} of the first {tree.size} entries is not that of the log: it was "
                f"changed. Delete the shard's rows from wallet_tallies, wallet_tallies_taken, "
                "wallet_trees and wallet_tiles, and make a new checkpoint",
                shard=shard,
            )
