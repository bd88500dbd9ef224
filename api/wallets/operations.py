"""The operations on wallets."""

from http import HTTPStatus
from typing import Final

from api.calls import Operation
from api.parameters import TransactionListQuery, WalletListQuery
from api.wallets.moving import DebitBody, debit_wallet
from api.wallets.reading import get_wallet, list_transactions, list_wallets
from schemas.resources import Transaction, Wallet

WALLET_OPERATIONS: Final = (
    Operation(
        name="listWallets",
        summary="List wallets",
        method="GET",
        path="/wallets",
        scope="credits:read",
        handle=list_wallets,
        answer=Wallet,
        listed=True,
        query=WalletListQuery,
    ),
    Operation(
        name="getWallet",
        summary="Retrieve a wallet",
        method="GET",
        path="/wallets/{wallet_id}",
        scope="credits:read",
        handle=get_wallet,
        answer=Wallet,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        name="listTransactions",
        summary="List a wallet's transactions",
        method="GET",
        path="/wallets/{wallet_id}/transactions",
        scope="credits:read",
        handle=list_transactions,
        answer=Transaction,
        listed=True,
        query=TransactionListQuery,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        name="debitWallet",
        summary="Deduct funds from a wallet",
        method="POST",
        path="/wallets/{wallet_id}/debit",
        scope="credits:write",
        handle=debit_wallet,
        answer=Transaction,
        body=DebitBody,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
