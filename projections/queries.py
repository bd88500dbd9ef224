"""What readers ask the read models.

    models = ReadModels(open_pool(database_url, timeout_s=10, connections_max=10))
    wallet = await models.wallet("wal_a1b2c3", now)

A balance is what is in the wallet at `now`, to the microsecond, whether or not the log has the
entry of an expiry yet; each answer is one statement, so it is of one moment.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from msgspec import UNSET, Struct

from engine.sql import load_queries
from projections.errors import NotInstalledError, ProjectionError
from projections.pages import Key, Page, PageQuery, PageRequest, UnknownCursorError
from schemas import digests
from schemas.ids import Owner, parse_transaction_id
from schemas.resources import Transaction, TransactionType, Wallet, WalletStatus, format_balance

WALLET_MODELS = ("wallets", "lots")
"""The read models that answers about wallets come from."""

TRANSACTION_MODELS = ("wallets", "transactions")
"""The read models that answers about transactions come from."""

DATABASE_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # a statement that the server dies under, now and then
    asyncpg.InternalClientError,
    OSError,
)
"""What asyncpg raises when the database does not answer, or refuses to."""

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


def open_pool(
    database_url: str, *, timeout_s: float, connections_max: int, read_only: bool = True
) -> asyncpg.Pool:
    """A pool that connects when it is first needed; `timeout_s` bounds a statement.

    It has to be awaited once, which opens no connection.
    """
    return asyncpg.create_pool(
        database_url,
        min_size=0,
        max_size=connections_max,
        timeout=timeout_s,
        command_timeout=timeout_s,
        reset=_leave_session,
        server_settings={
            "application_name": "wallet-api",
            "default_transaction_read_only": "on" if read_only else "off",
            "statement_timeout": str(round(timeout_s * 1000)),
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

    async def wallet(self, owner: Owner, wallet_id: str, now: datetime) -> Wallet | None:
        """The wallet at `now`; None if the owner has none of this id."""
        rows = await self._fetch("wallet", *owner, wallet_id, now)
        return _wallet(rows[0]) if rows else None

    async def wallets(
        self, owner: Owner, chosen: WalletFilter, request: PageRequest, now: datetime
    ) -> Page[Wallet]:
        """A page of the owner's wallets at `now`.

        Raises UnknownCursorError if the anchor is no wallet of the owner.
        """
        anchor = request.anchor
        with reaching_database():
            return await _WALLETS.page(
                self._pool,
                request,
                None if anchor is None else await self._created(owner, anchor.item_id),
                _wallet,
                *owner,
                now,
                chosen.customer_id,
                chosen.currency,
                chosen.status,
            )

    async def transactions(
        self, owner: Owner, wallet_id: str, chosen: TransactionFilter, request: PageRequest
    ) -> Page[Transaction] | None:
        """A page of the wallet's transactions; None if the owner has no such wallet.

        Raises UnknownCursorError if the anchor is no transaction of this wallet.
        """
        places = await self._fetch("wallet_place", *owner, wallet_id)
        if not places:
            return None
        anchor = request.anchor
        with reaching_database():
            return await _TRANSACTIONS.page(
                self._pool,
                request,
                None if anchor is None else await self._position(wallet_id, anchor.item_id),
                _transaction,
                places[0]["shard"],
                wallet_id,
                chosen.type,
                _command_ids(wallet_id, chosen.reference),
            )

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


def _wallet(row: asyncpg.Record) -> Wallet:
    return Wallet(
        id=row["wallet_id"],
        customer_id=row["customer_id"],
        currency=row["currency"],
        balance=row["balance"],
        balance_formatted=format_balance(row["balance"], row["currency"]),
        status=row["status"],
        created_at=row["created_at"],
        metadata=_json(row["metadata"]),
    )


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
