"""Rows: top-ups as they are kept, and what may become of one.

    pending ──Pay──► paying ──outcome──► succeeded | failed
       ├──Cancel──► cancelled
       └──time────► expired

Each step is one statement that finds the row as it was expected to be, or changes nothing.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Literal

import asyncpg
from msgspec import Struct

from engine.sql import load_queries
from projections.pages import Key, Page, PageQuery, PageRequest, UnknownCursorError
from projections.queries import reaching_database
from schemas.ids import Environment, Owner
from schemas.resources import Topup, TopupStatus

_QUERIES = load_queries(Path(__file__).with_name("topups.sql"))
_PAGE = PageQuery(_QUERIES["page"], key_columns=2)
_EXPIRED_AT_ONCE_MAX: Final = 500


class StoredTopup(Struct, frozen=True, kw_only=True):
    """One row. `failure` is the code of the rule that refused a failed one."""

    topup_id: str
    merchant_id: str
    environment: Environment
    wallet_id: str
    amount: int
    currency: str
    status: Literal["paying"] | TopupStatus = "pending"
    failure: str | None = None
    token: str
    redirect_url: str
    cancel_url: str | None
    created_at: datetime
    expires_at: datetime

    @property
    def owner(self) -> Owner:
        return Owner(self.merchant_id, self.environment)

    def shown_at(self, now: datetime) -> TopupStatus:
        """The status as the world is to see it."""
        if self.status == "paying":
            return "pending"
        if self.status == "pending" and self.expires_at <= now:
            return "expired"
        return self.status


class Checkout(Struct, frozen=True):
    """A top-up as its customer sees it."""

    topup: StoredTopup
    merchant_name: str


class TopupRows:
    """The table. Every method raises DatabaseAwayError or NotInstalledError."""

    def __init__(self, rows: asyncpg.Pool) -> None:
        self._rows = rows

    async def add(self, topup: StoredTopup) -> StoredTopup:
        """The top-up as it is kept: as it was added first, if it is there already."""
        with reaching_database():
            await self._rows.execute(
                _QUERIES["insert"],
                topup.topup_id,
                *topup.owner,
                topup.wallet_id,
                topup.amount,
                topup.currency,
                topup.token,
                topup.redirect_url,
                topup.cancel_url,
                topup.created_at,
                topup.expires_at,
            )
        return await self.known(topup.topup_id)

    async def find(self, topup_id: str) -> StoredTopup | None:
        return _first(await self._fetch("topup", topup_id))

    async def known(self, topup_id: str) -> StoredTopup:
        """The top-up, of which the caller knows that it is there."""
        (row,) = await self._fetch("topup", topup_id)
        return _stored(row)

    async def page(
        self, wallet_id: str, request: PageRequest, item: Callable[[StoredTopup], Topup]
    ) -> Page[Topup]:
        """A page of the wallet's top-ups; raises UnknownCursorError."""
        with reaching_database():
            return await _PAGE.page(
                self._rows,
                request,
                partial(self._key, wallet_id),
                lambda row: item(_stored(row)),
                wallet_id,
            )

    async def _key(self, wallet_id: str, topup_id: str) -> Key:
        last = await self.find(topup_id)
        if last is None or last.wallet_id != wallet_id:
            raise UnknownCursorError(f"{wallet_id} has no such top-up.")
        return last.created_at, last.topup_id

    async def checkout(self, token: str) -> Checkout | None:
        """The sandbox's checkout with this token."""
        rows = await self._fetch("checkout", token)
        return Checkout(_stored(rows[0]), rows[0]["merchant_name"]) if rows else None

    async def begin_paying(self, token: str, now: datetime) -> StoredTopup | None:
        """From pending to paying; None if it was not pending, or over by now."""
        return _first(await self._fetch("begin_paying", token, now))

    async def cancel(self, token: str, now: datetime) -> None:
        """From pending to cancelled, if it was pending and is not over by now."""
        await self._fetch("cancel", token, now)

    async def settle(self, topup: StoredTopup, failure: str | None) -> None:
        """From paying to failed, or without a failure to succeeded."""
        status = "succeeded" if failure is None else "failed"
        await self._fetch("settle", topup.topup_id, status, failure)

    async def set_aside(self, topup: StoredTopup) -> None:
        """Note that sending the command of one that is paying is of no use for now."""
        await self._fetch("set_aside", topup.topup_id)

    async def expire(self, now: datetime) -> None:
        """From pending to expired, some of those that are over by now."""
        await self._fetch("expire", now, _EXPIRED_AT_ONCE_MAX)

    async def take_unsettled(
        self, limit: int, *, silence_s_min: float, silence_s_max: float, set_aside_for: timedelta
    ) -> Sequence[StoredTopup]:
        """At most `limit` that are paying and that nobody seems to be at any more."""
        rows = await self._fetch(
            "take_unsettled", limit, silence_s_min, silence_s_max, set_aside_for
        )
        return [_stored(row) for row in rows]

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        with reaching_database():
            return await self._rows.fetch(_QUERIES[query], *arguments)


def _first(rows: Sequence[asyncpg.Record]) -> StoredTopup | None:
    return _stored(rows[0]) if rows else None


def _stored(row: asyncpg.Record) -> StoredTopup:
    return StoredTopup(**{name: row[name] for name in StoredTopup.__struct_fields__})
