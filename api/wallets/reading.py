"""Reading wallets and their transactions."""

from api.calls import Call
from api.errors import ResourceMissingError
from api.parameters import TransactionListQuery, WalletListQuery
from api.services import Services
from projections.pages import Page
from projections.queries import (
    TRANSACTION_MODELS,
    WALLET_MODELS,
    TransactionFilter,
    WalletFilter,
)
from schemas.resources import Transaction, Wallet


async def list_wallets(services: Services, call: Call) -> Page[Wallet]:
    """Wallets, newest first."""
    query: WalletListQuery = call.query
    reads = services.reads
    chosen = WalletFilter(
        customer_id=query.customer_id, currency=query.currency, status=query.status
    )
    return await reads.answer(
        query,
        WALLET_MODELS,
        lambda: reads.models.wallets(call.owner, chosen, call.page, reads.clock()),
    )


async def get_wallet(services: Services, call: Call) -> Wallet:
    """One wallet."""
    wallet_id = call.path["wallet_id"]
    reads = services.reads
    wallet = await reads.answer(
        call.query,
        WALLET_MODELS,
        lambda: reads.models.wallet(call.owner, wallet_id, reads.clock()),
    )
    if wallet is None:
        raise ResourceMissingError("wallet", wallet_id)
    return wallet


async def list_transactions(services: Services, call: Call) -> Page[Transaction]:
    """A wallet's transactions, newest first."""
    wallet_id = call.path["wallet_id"]
    query: TransactionListQuery = call.query
    reads = services.reads
    chosen = TransactionFilter(type=query.type, reference=query.reference)
    page = await reads.answer(
        query,
        TRANSACTION_MODELS,
        lambda: reads.models.transactions(call.owner, wallet_id, chosen, call.page),
    )
    if page is None:
        raise ResourceMissingError("wallet", wallet_id)
    return page
