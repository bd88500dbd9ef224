"""The tree over a shard's wallets at one size of its log: proof that nothing of one was left out."""

from projections.wallet_trees.building import build_tree, count_tree, tallied_tree
from projections.wallet_trees.leaves import WalletLeaf
from projections.wallet_trees.proving import WalletProof, WalletTreeMissingError, prove_wallet
from projections.wallet_trees.stored import WalletTree, newest_tree, stored_tree

__all__ = [
    "WalletLeaf",
    "WalletProof",
    "WalletTree",
    "WalletTreeMissingError",
    "build_tree",
    "count_tree",
    "newest_tree",
    "prove_wallet",
    "stored_tree",
    "tallied_tree",
]
