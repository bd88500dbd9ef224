"""Wallets and their transactions."""

import re

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.errors import ResourceMissingError
from api.parameters import (
    AnyRequest,
    ReadQuery,
    TransactionListQuery,
    WalletListQuery,
    read_query,
)
from api.reads import Reads
from projections.queries import (
    TRANSACTION_MODELS,
    WALLET_MODELS,
    Page,
    TransactionFilter,
    WalletFilter,
)
from schemas.resources import Transaction, Wallet

_WALLET_ID = re.compile(r"wal_[A-Za-z0-9]{1,40}")


@get("/")
async def list_wallets(request: AnyRequest, reads: NamedDependency[Reads]) -> Page[Wallet]:
    """Wallets, newest first."""
    query = read_query(request, WalletListQuery)
    chosen = WalletFilter(
        customer_id=query.customer_id, currency=query.currency, status=query.status
    )
    return await reads.answer(
        query,
        WALLET_MODELS,
        lambda: reads.models.wallets(
            chosen, limit=query.limit, after=query.after, now=reads.clock()
        ),
    )


@get("/{wallet_id:str}")
async def get_wallet(
    request: AnyRequest, reads: NamedDependency[Reads], wallet_id: FromPath[str]
) -> Wallet:
    """One wallet."""
    _check_id(wallet_id)
    query = read_query(request, ReadQuery)
    wallet = await reads.answer(
        query, WALLET_MODELS, lambda: reads.models.wallet(wallet_id, reads.clock())
    )
    if wallet is None:
        raise ResourceMissingError("wallet", wallet_id)
    return wallet


@get("/{wallet_id:str}/transactions")
async def list_transactions(
    request: AnyRequest, reads: NamedDependency[Reads], wallet_id: FromPath[str]
) -> Page[Transaction]:
    """A wallet's transactions, newest first."""
    _check_id(wallet_id)
    query = read_query(request, TransactionListQuery)
    chosen = TransactionFilter(type=query.type, reference=query.reference)
    page = await reads.answer(
        query,
        TRANSACTION_MODELS,
        lambda: reads.models.transactions(wallet_id, chosen, limit=query.limit, after=query.after),
    )
    if page is None:
        raise ResourceMissingError("wallet", wallet_id)
    return page


def _check_id(wallet_id: str) -> None:
    if _WALLET_ID.fullmatch(wallet_id) is None:
        raise ResourceMissingError("wallet", wallet_id)


def wallet_routes() -> Router:
    """The routes, the same for every version of the API."""
    return Router("/wallets", route_handlers=[list_wallets, get_wallet, list_transactions])
