"""Replay: reading the log page by page, each in a short transaction, and folding it.

A long transaction would keep old versions of the shard rows alive and slow down every append, so
each page is a statement of its own. That is safe, since what is below a shard's `position` never
changes and has no holes.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from asyncpg import Connection, Record
from msgspec import Struct
from msgspec.structs import replace

from engine.decider import HistoryError, evolve, expire_due
from engine.errors import EngineError
from engine.log import APPEND_SESSION_NAME, TRANSACTION_TIMEOUT_S
from engine.sql import load_queries
from engine.topology import home
from engine.wallet import Wallet
from schemas.entries import Entry, decode_entry
from schemas.events import CommandRejected

PAGE_ENTRIES: Final = 1_000

CLOCK_BEHIND: Final = timedelta(seconds=5)
"""How far behind the database's clock a batch may have been decided; the append checks it."""

FINAL_AFTER: Final = CLOCK_BEHIND + timedelta(seconds=TRANSACTION_TIMEOUT_S)
"""Once this has passed since a moment, no entry of that moment can come any more.

But for an append that was let pass and whose commit waits for the disk, which no time-out ends; see
`final_before`.
"""

_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))


class EntryUnreadableError(EngineError):
    """A newer release wrote an entry, or somebody changed it."""

    code = "entry_unreadable"


class HistoryBrokenError(EngineError):
    """A wallet's entries do not follow from each other: the log has been changed."""

    code = "history_broken"


class WalletState(Struct, frozen=True, kw_only=True):
    """What a wallet's entries come to, and the times of the first and the last of them."""

    wallet: Wallet
    created_at: datetime
    changed_at: datetime


class WalletAt(Struct, frozen=True, kw_only=True):
    """A wallet as it stood at `at`, without what was due by then; None if it did not exist.

    Unless `final`, an entry with an earlier time may still be on its way.
    """

    wallet_id: str
    shard: int
    at: datetime
    final: bool
    state: WalletState | None


async def partition_count(connection: Connection) -> int | None:
    """How many shards the log has; None before the first engine has started."""
    count: int | None = await connection.fetchval(_QUERIES["partitions"])
    return count


async def find_shard(connection: Connection, wallet_id: str) -> int | None:
    """The shard that the wallet is at home in; None before the first engine has started."""
    partitions = await partition_count(connection)
    return None if partitions is None else home(wallet_id, partitions)


async def shard_sizes(connection: Connection) -> dict[int, int]:
    """How many entries each shard has, by shard: a moment of the whole log."""
    rows = await connection.fetch(_QUERIES["shard_sizes"])
    return {row["shard"]: row["position"] for row in rows}


async def read_shard(
    connection: Connection, shard: int, start: int, stop: int, page: int = PAGE_ENTRIES
) -> AsyncIterator[list[Record]]:
    """Pages of the shard's rows from position `start` to `stop` (exclusive), in order.

    Columns: position, wallet_id, version, command_id, type, occurred_at, data.
    """
    while start < stop:
        rows = await connection.fetch(_QUERIES["shard_entries"], shard, start, stop, page)
        if not rows:
            return
        yield rows
        start = rows[-1]["position"] + 1


async def read_wallet(
    connection: Connection, shard: int, wallet_id: str, start: int = 0, page: int = PAGE_ENTRIES
) -> AsyncIterator[list[Record]]:
    """Pages of the wallet's rows from position `start` on, rejections included, in order.

    Columns as `read_shard`. What is appended after the call is left out.
    """
    rows = await connection.fetch(_QUERIES["wallet_positions"], shard, wallet_id, start)
    positions = [row["position"] for row in rows]
    for first in range(0, len(positions), page):
        yield await connection.fetch(
            _QUERIES["entries_at"], shard, positions[first : first + page]
        )


async def read_wallet_events(
    connection: Connection,
    shard: int,
    wallet_id: str,
    *,
    until: datetime | None = None,
    page: int = PAGE_ENTRIES,
) -> AsyncIterator[list[Entry]]:
    """Pages of the wallet's events by version, none later than `until`."""
    version = 0
    while True:
        rows = await connection.fetch(
            _QUERIES["wallet_events"], shard, wallet_id, version, until, page
        )
        if not rows:
            return
        yield [read_entry(shard, row["data"]) for row in rows]
        version = rows[-1]["version"]


async def wallet_at(
    connection: Connection, wallet_id: str, at: datetime | None = None
) -> WalletAt | None:
    """The wallet at a time, or now, by replay; None before the first engine has started.

    Now is the later of the database's clock and the last entry's time, and is never final.
    """
    shard = await find_shard(connection, wallet_id)
    if shard is None:
        return None
    # before anything is read, or what commits meanwhile could be missed by a final answer
    final = await final_before(connection)
    (clocks,) = await connection.fetch(_QUERIES["clocks"], shard)
    database_now: datetime = clocks["database_now"]
    if at is None:
        at = max(database_now, clocks["last_at"] or database_now)
    return WalletAt(
        wallet_id=wallet_id,
        shard=shard,
        at=at,
        final=at < final,
        state=await _state_at(connection, shard, wallet_id, at),
    )


async def final_before(connection: Connection) -> datetime:
    """The moment before which nothing can be added to what is read from now on.

    An append whose session this role may not see is taken to last no longer than its time-out.
    """
    before: datetime = await connection.fetchval(
        _QUERIES["final_before"], FINAL_AFTER, CLOCK_BEHIND, APPEND_SESSION_NAME
    )
    return before


async def _state_at(
    connection: Connection, shard: int, wallet_id: str, at: datetime
) -> WalletState | None:
    wallet: Wallet | None = None
    first: Entry | None = None
    last: Entry | None = None
    async for page in read_wallet_events(connection, shard, wallet_id, until=at):
        for entry in page:
            wallet = fold(wallet, entry)
        first = first or page[0]
        last = page[-1]
    if wallet is None or first is None or last is None:
        return None
    return WalletState(
        wallet=without_due(wallet, at),
        created_at=first.occurred_at,
        changed_at=last.occurred_at,
    )


def fold(wallet: Wallet | None, entry: Entry) -> Wallet | None:
    """The state after the entry; a rejection changes nothing.

    Raises HistoryBrokenError if the entry can't follow.
    """
    if isinstance(entry.event, CommandRejected):
        return wallet
    try:
        return evolve(wallet, entry.event)
    except HistoryError as error:
        raise HistoryBrokenError(
            f"wallet {entry.wallet_id}, shard {entry.shard}, position {entry.position}: {error}"
            " The log has been changed: `wallet verify` says where."
        ) from error


def without_due(wallet: Wallet, at: datetime) -> Wallet:
    """The state with every lot gone that is worth nothing at `at`; the version stays."""
    live = wallet
    for event in expire_due(wallet, at):
        live = evolve(live, event)
    return replace(live, version=wallet.version)


def read_entry(shard: int, data: bytes) -> Entry:
    """Decode an entry of the log; raises EntryUnreadableError if this release can't."""
    try:
        return decode_entry(data)
    except msgspec.DecodeError as error:
        raise EntryUnreadableError(
            f"shard {shard} holds an entry that this release can't read ({error}): it was"
            " written by a newer release, or changed; `wallet verify` names it"
        ) from error
