"""Reading wallets and their transactions."""

from api.calls import Call
from api.parameters import TransactionListQuery, WalletListQuery
from api.services import Services
from projections.pages import Page
from projections.queries import (
    TRANSACTION_MODELS,
    WALLET_MODELS,
    TransactionFilter,
    WalletFilter,
)
from schemas.resources import Transaction, Wallet, WalletDetail


async def list_wallets(services: Services, call: Call) -> Page[Wallet]:
    """Wallets, newest first."""
    query: WalletListQuery = call.query
    chosen = WalletFilter(
        customer_id=query.customer_id, currency=query.currency, status=query.status
    )
    await services.reads.wait_for(query, WALLET_MODELS, call.deadline)
    return await services.reads.wallets(call.owner, chosen, call.page, call.deadline)


async def get_wallet(services: Services, call: Call) -> WalletDetail:
    """One wallet."""
    await services.reads.wait_for(call.query, WALLET_MODELS, call.deadline)
    return await services.reads.wallet(call.owner, call.path["wallet_id"], call.deadline)


async def list_transactions(services: Services, call: Call) -> Page[Transaction]:
    """A wallet's transactions, newest first."""
    query: TransactionListQuery = call.query
    chosen = TransactionFilter(type=query.type, reference=query.reference)
    await services.reads.wait_for(query, TRANSACTION_MODELS, call.deadline)
    return await services.reads.transactions(
        call.owner, call.path["wallet_id"], chosen, call.page, call.deadline
    )
