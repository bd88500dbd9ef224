"""Opening wallets."""

import msgspec
from msgspec import Struct

from api.calls import Call
from api.customers.rows import hold_customer, transaction
from api.errors import ConflictError
from api.services import Services
from api.wallets.intents import intend, settle
from engine.receipts import Rejected
from schemas.commands import CreateWallet, Metadata
from schemas.entries import Entry
from schemas.events import WalletCreated
from schemas.ids import CustomerId
from schemas.money import Currency
from schemas.resources import Wallet, format_balance


class OpenWalletBody(Struct, frozen=True, kw_only=True):
    """What a new wallet takes."""

    customer_id: CustomerId
    currency: Currency
    metadata: Metadata = {}


async def open_wallet(services: Services, call: Call) -> Wallet:
    """A new wallet of a customer, or the one that this request has made before."""
    body: OpenWalletBody = call.body
    command = CreateWallet(
        wallet_id=f"wal_{call.effect_id}",
        reference=f"api_{call.effect_id}",
        merchant_id=call.owner.merchant_id,
        environment=call.owner.environment,
        customer_id=body.customer_id,
        currency=body.currency,
        metadata=body.metadata,
    )
    async with transaction(services, call.deadline) as connection:
        await hold_customer(connection, call.owner, body.customer_id)
        await intend(connection, command)
    outcome = await settle(services, command, call.deadline)
    if isinstance(outcome, Rejected):
        raise ConflictError(outcome.rejection.code, outcome.rejection.message)
    return _opened(outcome.entry)


def _opened(entry: Entry) -> Wallet:
    event = entry.event
    if not isinstance(event, WalletCreated):
        raise TypeError(f"entry {entry.position} of shard {entry.shard} opens no wallet")
    return Wallet(
        id=entry.wallet_id,
        customer_id=event.customer_id,
        currency=event.currency,
        balance=0,
        balance_formatted=format_balance(0, event.currency),
        status="active",
        created_at=entry.occurred_at,
        metadata=msgspec.Raw(msgspec.json.encode(event.metadata)),
    )
