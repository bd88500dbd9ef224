"""Ownership: whose a wallet is, from the log itself.

The read models may not show a wallet yet that has just been made; its first entry does.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Final

import asyncpg

from api.errors import ResourceMissingError
from engine.sql import load_queries
from engine.topology import home
from projections.queries import reaching_database
from schemas.entries import decode_entry
from schemas.ids import Owner

_KNOWN_MAX: Final = 50_000
_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))


class WalletOwners:
    """Remembers the owners of the wallets asked for last, for an owner never changes."""

    def __init__(self, rows: asyncpg.Pool, *, known_max: int = _KNOWN_MAX) -> None:
        self._rows = rows
        self._known_max = known_max
        self._known: OrderedDict[str, Owner] = OrderedDict()
        self._partitions: int | None = None

    async def check(self, owner: Owner, wallet_id: str) -> None:
        """Raises ResourceMissingError unless there is such a wallet and it is the owner's."""
        if await self._owner(wallet_id) != owner:
            raise ResourceMissingError("wallet", wallet_id)

    async def _owner(self, wallet_id: str) -> Owner | None:
        known = self._known.get(wallet_id)
        if known is not None:
            self._known.move_to_end(wallet_id)
            return known
        found = await self._find(wallet_id)
        if found is not None:
            self._known[wallet_id] = found
            if len(self._known) > self._known_max:
                self._known.popitem(last=False)
        return found

    async def _find(self, wallet_id: str) -> Owner | None:
        with reaching_database():
            if self._partitions is None:
                self._partitions = await self._rows.fetchval(_QUERIES["partitions"])
            if self._partitions is None:
                return None
            shard = home(wallet_id, self._partitions)
            data = await self._rows.fetchval(_QUERIES["first_entry"], shard, wallet_id)
        if data is None:
            return None
        entry = decode_entry(data)
        if entry.merchant_id is None or entry.environment is None:
            raise ValueError(f"the first entry of {wallet_id} says of no owner")
        return Owner(entry.merchant_id, entry.environment)
