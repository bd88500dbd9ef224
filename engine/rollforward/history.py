"""Do entries that are to be appended follow from what the log has of their wallets?"""

from collections.abc import Sequence

from engine.cache import WalletCache
from engine.decider import HistoryError, evolve
from engine.log import ShardLog, Snapshot
from engine.rollforward.errors import EntryRefusedError
from engine.wallet import Wallet, encode_wallet
from schemas.entries import Entry
from schemas.events import CommandRejected

States = dict[str, Wallet | None]


class History:
    """The states of one shard's wallets, loaded as they are needed, and moved on."""

    def __init__(self, log: ShardLog, *, wallets_max: int, snapshot_every: int) -> None:
        self._log = log
        self._cache = WalletCache(wallets_max)
        self._snapshot_every = snapshot_every

    async def follow(
        self, entries: Sequence[Entry], leaf_hashes: Sequence[bytes]
    ) -> list[Snapshot]:
        """Apply entries that are not in the log yet; gives the snapshots that are due after them.

        Raises EntryRefusedError for the first one that can't follow.
        """
        states = await self._states({entry.wallet_id for entry in entries})
        ends: dict[str, int] = {}
        due: set[str] = set()
        for index, entry in enumerate(entries):
            before = states[entry.wallet_id]
            after = _after(before, entry)
            if after is None or after is before:
                continue
            states[entry.wallet_id] = after
            ends[entry.wallet_id] = index
            if after.version % self._snapshot_every == 0:
                due.add(entry.wallet_id)
        self._cache.keep({id_: state for id_, state in states.items() if state is not None})
        return [
            _snapshot(entries[ends[wallet_id]], leaf_hashes[ends[wallet_id]], states[wallet_id])
            for wallet_id in sorted(due)
        ]

    async def _states(self, wallet_ids: set[str]) -> States:
        states: States = {wallet_id: self._cache.get(wallet_id) for wallet_id in wallet_ids}
        missing = [wallet_id for wallet_id, state in states.items() if state is None]
        if missing:
            for wallet_id, loaded in (await self._log.load_wallets(missing)).items():
                states[wallet_id] = loaded.wallet
        return states


def _after(wallet: Wallet | None, entry: Entry) -> Wallet | None:
    event = entry.event
    version = 0 if wallet is None else wallet.version
    if isinstance(event, CommandRejected):
        if event.wallet_version != version:
            raise _refused(entry, f"names version {event.wallet_version} of its wallet", version)
        return wallet
    if entry.version != version + 1:
        raise _refused(entry, f"is version {entry.version} of its wallet", version)
    try:
        return evolve(wallet, event)
    except HistoryError as error:
        raise _refused(entry, f"can't follow ({error})", version) from error


def _refused(entry: Entry, what: str, version: int) -> EntryRefusedError:
    return EntryRefusedError(
        f"Entry {entry.position} of shard {entry.shard} on the events topic {what}, and wallet"
        f" {entry.wallet_id} is at version {version}: it was not decided on what the log has."
        " Nothing from there on was appended; find out who wrote it."
    )


def _snapshot(entry: Entry, leaf_hash: bytes, wallet: Wallet | None) -> Snapshot:
    if wallet is None:
        raise AssertionError("a wallet with a version has a state")
    return Snapshot(
        wallet_id=entry.wallet_id,
        version=wallet.version,
        position=entry.position,
        leaf_hash=leaf_hash,
        state=encode_wallet(wallet),
    )
