"""The rules, applied once to what several checks need the state after."""

from engine.decider import evolve
from engine.wallet import Wallet
from schemas.events import WalletEvent


class OnceEvolved:
    """`evolve`, which remembers what it gave of late: the same again costs a look.

    It holds the events and the states of one page, until `forget`.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[WalletEvent, Wallet | None, Wallet]] = {}

    def __call__(self, wallet: Wallet | None, event: WalletEvent) -> Wallet:
        known = self._known.get(id(event))
        if known is not None and known[0] is event and known[1] == wallet:
            return known[2]
        after = evolve(wallet, event)
        self._known[id(event)] = event, wallet, after
        return after

    def forget(self) -> None:
        """Let go of what is known: another page comes."""
        self._known.clear()
