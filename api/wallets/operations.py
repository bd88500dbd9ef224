"""The operations on wallets."""

from http import HTTPStatus
from typing import Final

from api.calls import Operation
from api.parameters import ReadQuery, TransactionListQuery, WalletListQuery
from api.wallets.moving import CreditBody, DebitBody, credit_wallet, debit_wallet
from api.wallets.opening import OpenWalletBody, open_wallet
from api.wallets.reading import get_wallet, list_transactions, list_wallets
from api.wallets.status import close_wallet, freeze_wallet, unfreeze_wallet
from schemas.resources import Transaction, Wallet, WalletDetail

WALLET_OPERATIONS: Final = (
    Operation(
        name="createWallet",
        summary="Create a wallet for a customer",
        method="POST",
        path="/wallets",
        scope="credits:write",
        handle=open_wallet,
        answer=Wallet,
        status=HTTPStatus.CREATED,
        body=OpenWalletBody,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
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
        answer=WalletDetail,
        v1_answer=Wallet,
        query=ReadQuery,
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
    Operation(
        name="creditWallet",
        summary="Apply an admin credit",
        method="POST",
        path="/wallets/{wallet_id}/credit",
        scope="credits:write",
        handle=credit_wallet,
        answer=Transaction,
        body=CreditBody,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Operation(
        name="freezeWallet",
        summary="Freeze a wallet: it takes money, and gives none",
        method="POST",
        path="/wallets/{wallet_id}/freeze",
        scope="credits:write",
        handle=freeze_wallet,
        answer=Wallet,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Operation(
        name="unfreezeWallet",
        summary="Unfreeze a wallet",
        method="POST",
        path="/wallets/{wallet_id}/unfreeze",
        scope="credits:write",
        handle=unfreeze_wallet,
        answer=Wallet,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Operation(
        name="closeWallet",
        summary="Close a wallet permanently",
        method="POST",
        path="/wallets/{wallet_id}/close",
        scope="credits:write",
        handle=close_wallet,
        answer=Wallet,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
