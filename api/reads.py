"""Reads: answers from the read models that show whatever was written before they were asked for.

Writes do not wait for the read models, so it is reads that do: for the entries of the one wallet
that is asked for, or, with lists of wallets, for all that the log had when the request came.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from api.errors import (
    ApiError,
    NotShownYetError,
    ReadsBehindError,
    ResourceMissingError,
    UnavailableError,
)
from api.parameters import NoQuery, invalid, place_of
from api.wallets.ownership import WalletOwners
from projections.pages import Page, PageRequest
from projections.queries import (
    TRANSACTION_MODELS,
    WALLET_MODELS,
    EntryPlace,
    ReadModels,
    TransactionFilter,
    WalletFilter,
)
from projections.waiting import ShardWatch, UnknownPartitionError
from schemas.ids import Owner
from schemas.instants import utc_now
from schemas.resources import Transaction, Wallet, WalletDetail


@dataclass(frozen=True)
class Reads:
    """What handlers answer from. Each `deadline` is of the event loop's clock.

    Past it, every method raises ReadsBehindError or UnavailableError.
    """

    models: ReadModels
    watch: ShardWatch
    owners: WalletOwners
    deadline_ms: int
    clock: Callable[[], datetime] = utc_now

    async def wallet(self, owner: Owner, wallet_id: str, deadline: float) -> WalletDetail:
        """The wallet; raises ResourceMissingError if the owner has none of this id."""
        needed: int | None = None
        while True:
            async with self._answering(deadline):
                seen = await self.models.wallet(owner, wallet_id, self.clock(), needed=needed)
            if seen is None:
                lacks = await self._latest(owner, wallet_id, deadline)
            elif seen.lacks is None:
                return seen.wallet
            else:
                lacks = seen.lacks
            await self._taken_in(lacks, WALLET_MODELS, deadline)
            # a wallet that is written to all the time would never have its very last entry
            needed = lacks.position if needed is None else needed

    async def wallets(
        self, owner: Owner, chosen: WalletFilter, page: PageRequest, deadline: float
    ) -> Page[Wallet]:
        """A page of the owner's wallets; raises UnknownCursorError."""
        await self.caught_up(WALLET_MODELS, deadline)
        async with self._answering(deadline):
            return await self.models.wallets(owner, chosen, page, self.clock())

    async def transactions(
        self,
        owner: Owner,
        wallet_id: str,
        chosen: TransactionFilter,
        page: PageRequest,
        deadline: float,
    ) -> Page[Transaction]:
        """A page of the wallet's transactions; raises ResourceMissingError, UnknownCursorError."""
        shard = await self._shown(owner, wallet_id, TRANSACTION_MODELS, deadline)
        async with self._answering(deadline):
            return await self.models.transactions(shard, wallet_id, chosen, page)

    async def caught_up(self, models: Sequence[str], deadline: float) -> None:
        """Return once `models` have, of every shard, what the log has now."""
        async with self._answering(deadline):
            behind = await self.models.behind(models)
        await asyncio.gather(*(self._taken_in(entry, models, deadline) for entry in behind))

    async def wait_for(self, query: NoQuery, models: Sequence[str], deadline: float) -> None:
        """Return once `models` show the command that the caller wants to be waited for, if any.

        Raises NotShownYetError and InvalidParameterError.
        """
        place = place_of(query)
        if place is None:
            return
        late = NotShownYetError(f"{place.partition}:{place.offset}", self.deadline_ms)
        try:
            async with _until(deadline, late):
                await self.watch.wait_until_shown(place, models)
        except UnknownPartitionError:
            raise invalid(type(query), "wait_for") from None

    async def _shown(
        self, owner: Owner, wallet_id: str, models: Sequence[str], deadline: float
    ) -> int:
        async with self._answering(deadline):
            shown = await self.models.shown(owner, wallet_id, models)
        if shown is None:
            lacks = await self._latest(owner, wallet_id, deadline)
        elif shown.lacks is None:
            return shown.shard
        else:
            lacks = shown.lacks
        await self._taken_in(lacks, models, deadline)
        return lacks.shard

    async def _latest(self, owner: Owner, wallet_id: str, deadline: float) -> EntryPlace:
        """The last entry of a wallet that the models do not show."""
        async with self._answering(deadline):
            await self.owners.check(owner, wallet_id)
            entry = await self.models.latest_entry(wallet_id)
        if entry is None:
            raise ResourceMissingError("wallet", wallet_id)
        return entry

    async def _taken_in(self, entry: EntryPlace, models: Sequence[str], deadline: float) -> None:
        async with _until(deadline, ReadsBehindError(self.deadline_ms)):
            await self.watch.wait_until_taken_in(entry, models)

    def _answering(self, deadline: float) -> AbstractAsyncContextManager[None]:
        late = f"There was no answer within {self.deadline_ms} ms. Try again in a while."
        return _until(deadline, UnavailableError(late))


@asynccontextmanager
async def _until(deadline: float, late: ApiError) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise late from None
