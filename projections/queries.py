"""What readers ask the read models.

    models = ReadModels(open_pool(database_url, timeout_s=10, connections_max=10))
    seen = await models.wallet(Owner("mch_1", "live"), "wal_a1b2c3", now)

A balance is what is in the wallet at `now`, to the microsecond, whether or not the log has the
entry of an expiry yet. Models may be behind the log, and each by its own measure: what they lack
is said by the same statement that the answer comes from, so whoever wants can wait for it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec
from asyncpg.pool import PoolAcquireContext
from msgspec import UNSET, Struct

from engine.database import DATABASE_FAILURES
from engine.sql import load_queries
from engine.topology import home
from projections.errors import NotInstalledError, ProjectionError
from projections.pages import Key, Page, PageQuery, PageRequest, UnknownCursorError
from schemas import digests
from schemas.ids import Owner, parse_transaction_id
from schemas.resources import (
    Lot,
    Transaction,
    TransactionType,
    Wallet,
    WalletDetail,
    WalletStatus,
    format_balance,
)

WALLET_MODELS = ("wallets", "lots")
"""The read models that answers about wallets come from."""

TRANSACTION_MODELS = ("wallets", "transactions")
"""The read models that answers about transactions come from."""

_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))
_WALLETS = PageQuery(_QUERIES["wallet_page"], key_columns=2)
_TRANSACTIONS = PageQuery(_QUERIES["transaction_page"], key_columns=1)


class DatabaseAwayError(ProjectionError):
    """The database does not answer, or refuses to; it may answer in a while."""

    code = "database_away"


class WalletFilter(Struct, frozen=True, kw_only=True):
    """Which wallets; None lets all pass."""

    customer_id: str | None = None
    currency: str | None = None
    status: WalletStatus | None = None


class TransactionFilter(Struct, frozen=True, kw_only=True):
    """Which transactions; None lets all pass."""

    type: TransactionType | None = None
    reference: str | None = None


class Lag(Struct, frozen=True):
    """How many entries of the log are not in the read model `name` yet."""

    name: str
    entries: int


class EntryPlace(NamedTuple):
    """Where an entry stands in the log."""

    shard: int
    position: int


class SeenWallet(NamedTuple):
    """A wallet, and an entry that the models have to have before it may be shown."""

    wallet: WalletDetail
    lacks: EntryPlace | None


class ShownWallet(NamedTuple):
    """The shard of a wallet, and its last entry if the models do not have it."""

    shard: int
    lacks: EntryPlace | None


class _Pool(asyncpg.Pool):
    """A pool in which nobody waits for a connection without end, while the database is silent."""

    def __init__(self, database_url: str, *, wait_s_max: float, **options: Any) -> None:
        super().__init__(
            database_url,
            min_size=0,
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            loop=None,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
            **options,
        )
        self._wait_s_max = wait_s_max

    def acquire(self, *, timeout: float | None = None) -> PoolAcquireContext:
        return super().acquire(timeout=self._wait_s_max if timeout is None else timeout)


def open_pool(
    database_url: str, *, timeout_s: float, connections_max: int, read_only: bool = True
) -> asyncpg.Pool:
    """A pool that connects when it is first needed.

    `timeout_s` bounds a statement, what passes between two of a transaction, and waiting for a
    connection. It has to be awaited once, which opens no connection.
    """
    return _Pool(
        database_url,
        wait_s_max=timeout_s,
        max_size=connections_max,
        timeout=timeout_s,
        command_timeout=timeout_s,
        reset=_leave_session,
        server_settings={
            "application_name": "wallet-api",
            "default_transaction_read_only": "on" if read_only else "off",
            # a reader's hint to the projector need not wait for the disk
            "synchronous_commit": "off" if read_only else "on",
            "statement_timeout": str(round(timeout_s * 1000)),
            # a process that is stopped in the middle of a transaction must not keep its locks
            "idle_in_transaction_session_timeout": str(round(timeout_s * 1000)),
            # what is planned for an empty table does not do for a full one
            "plan_cache_mode": "force_custom_plan",
            # compiling takes longer than any of these queries
            "jit": "off",
        },
    )


async def _leave_session(_: asyncpg.Connection) -> None:
    # no query here changes it, and asyncpg's own cleaning costs every read a round trip
    return


@contextmanager
def reaching_database() -> Iterator[None]:
    """Raise DatabaseAwayError or NotInstalledError for what asyncpg raises."""
    try:
        yield
    except asyncpg.UndefinedTableError as error:
        raise NotInstalledError(
            "The database has no read models yet; run `wallet migrate`."
        ) from error
    except DATABASE_FAILURES as error:
        raise DatabaseAwayError(
            f"The database does not answer ({type(error).__name__}: {error})."
        ) from error


class ReadModels:
    """The live read models. Every method raises DatabaseAwayError or NotInstalledError."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def wallet(
        self, owner: Owner, wallet_id: str, now: datetime, *, needed: int | None = None
    ) -> SeenWallet | None:
        """The wallet at `now`; None if the models show the owner none of this id.

        It lacks its last entry in the log, if any; with `needed`, only what would tear it apart
        once that entry is in.
        """
        rows = await self._fetch("wallet", *owner, wallet_id, now, WALLET_MODELS, needed)
        if not rows:
            return None
        return SeenWallet(_wallet_detail(rows[0]), _lacking(rows[0]))

    async def wallets(
        self, owner: Owner, chosen: WalletFilter, request: PageRequest, now: datetime
    ) -> Page[Wallet]:
        """A page of the owner's wallets at `now`.

        Raises UnknownCursorError if the anchor is no wallet of the owner.
        """
        with reaching_database():
            return await _WALLETS.page(
                self._pool,
                request,
                partial(self._created, owner),
                _wallet,
                *owner,
                now,
                chosen.customer_id,
                chosen.currency,
                chosen.status,
            )

    async def transactions(
        self, shard: int, wallet_id: str, chosen: TransactionFilter, request: PageRequest
    ) -> Page[Transaction]:
        """A page of the transactions of a wallet in this shard.

        Raises UnknownCursorError if the anchor is no transaction of this wallet.
        """
        with reaching_database():
            return await _TRANSACTIONS.page(
                self._pool,
                request,
                partial(self._position, wallet_id),
                _transaction,
                shard,
                wallet_id,
                chosen.type,
                _command_ids(wallet_id, chosen.reference),
            )

    async def shown(
        self, owner: Owner, wallet_id: str, models: Sequence[str]
    ) -> ShownWallet | None:
        """How far `models` show the wallet; None if the owner has none of this id in them."""
        rows = await self._fetch("wallet_shown", *owner, wallet_id, models)
        return ShownWallet(rows[0]["shard"], _lacking(rows[0])) if rows else None

    async def latest_entry(self, wallet_id: str) -> EntryPlace | None:
        """The last entry of a wallet, whoever's it is, shown or not; None if there is none."""
        topology = await self._fetch("partitions")
        if not topology:
            return None
        shard = home(wallet_id, topology[0]["partitions"])
        rows = await self._fetch("latest_entry", shard, wallet_id)
        return EntryPlace(shard, rows[0]["position"]) if rows else None

    async def behind(self, models: Sequence[str]) -> list[EntryPlace]:
        """The last entry of each shard of which any of `models` lacks one."""
        rows = await self._fetch("behind", models)
        return [EntryPlace(row["shard"], row["position"] - 1) for row in rows]

    async def lag(self, models: Sequence[str]) -> Lag | None:
        """The one of `models` that is furthest behind; None while the log has no shard."""
        rows = await self._fetch("lag", models)
        return Lag(rows[0]["name"], rows[0]["entries"]) if rows else None

    async def _created(self, owner: Owner, wallet_id: str) -> Key:
        rows = await self._fetch("wallet_place", *owner, wallet_id)
        if not rows:
            raise UnknownCursorError(f"There is no wallet {wallet_id}.")
        return rows[0]["created_at"], wallet_id

    async def _position(self, wallet_id: str, transaction_id: str) -> Key:
        try:
            shard, command_id = parse_transaction_id(transaction_id)
        except ValueError as error:
            raise UnknownCursorError(str(error)) from None
        rows = await self._fetch("transaction_position", shard, command_id, wallet_id)
        if not rows:
            raise UnknownCursorError(f"{wallet_id} has no transaction {transaction_id}.")
        return (rows[0]["position"],)

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        with reaching_database():
            return await self._pool.fetch(_QUERIES[query], *arguments)


def _command_ids(wallet_id: str, reference: str | None) -> list[bytes] | None:
    if reference is None:
        return None
    outcome = digests.command_id(wallet_id, reference)
    # a close writes off what is left in an entry beside its outcome
    return [outcome, digests.further_id(outcome, 0)]


def _lacking(row: asyncpg.Record) -> EntryPlace | None:
    return None if row["missing"] is None else EntryPlace(row["shard"], row["missing"])


def _wallet(row: asyncpg.Record) -> Wallet:
    return Wallet(**_wallet_fields(row))


def _wallet_detail(row: asyncpg.Record) -> WalletDetail:
    lots = zip(row["remaining"] or (), row["expires_at"] or (), row["priority"] or (), strict=True)
    return WalletDetail(
        **_wallet_fields(row),
        lots=[
            Lot(remaining=remaining, expires_at=expires_at, priority=priority)
            for remaining, expires_at, priority in lots
        ],
    )


def _wallet_fields(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": row["wallet_id"],
        "customer_id": row["customer_id"],
        "currency": row["currency"],
        "balance": row["balance"],
        "balance_formatted": format_balance(row["balance"], row["currency"]),
        "status": row["status"],
        "created_at": row["created_at"],
        "metadata": _json(row["metadata"]),
    }


def _transaction(row: asyncpg.Record) -> Transaction:
    return Transaction(
        id=row["id"],
        type=row["type"],
        amount=row["amount"],
        balance_before=row["balance_before"],
        balance_after=row["balance_after"],
        reference=row["reference"],
        description=row["description"],
        metadata=_json(row["metadata"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"] if row["type"] == "credit" else UNSET,
    )


def _json(text: Any) -> msgspec.Raw:
    # passed on as it stands, for nobody here looks inside
    return msgspec.Raw(text.encode())
