"""The states of recently used wallets, bounded."""

from collections import OrderedDict
from collections.abc import Mapping

from engine.wallet import Wallet


class WalletCache:
    """Keeps the `wallets_max` most recently used states; the others are loaded again when needed."""

    def __init__(self, wallets_max: int) -> None:
        self._wallets_max = wallets_max
        self._wallets: OrderedDict[str, Wallet] = OrderedDict()

    def __len__(self) -> int:
        return len(self._wallets)

    def get(self, wallet_id: str) -> Wallet | None:
        wallet = self._wallets.get(wallet_id)
        if wallet is not None:
            self._wallets.move_to_end(wallet_id)
        return wallet

    def keep(self, wallets: Mapping[str, Wallet]) -> None:
        kept = self._wallets
        for wallet_id, wallet in wallets.items():
            kept[wallet_id] = wallet
            kept.move_to_end(wallet_id)
        while len(kept) > self._wallets_max:
            kept.popitem(last=False)
