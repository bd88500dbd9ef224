"""Moving money: debits and credits by hand."""

import re
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct

from api.calls import Call
from api.errors import InvalidBodyError
from api.services import Services
from api.wallets.outcomes import accepted
from schemas.commands import (
    PRIORITY_DEFAULT,
    AnyCommand,
    Credit,
    Debit,
    Description,
    Metadata,
    Priority,
    Reference,
)
from schemas.entries import Entry
from schemas.events import Credited, Debited
from schemas.ids import transaction_id
from schemas.instants import Instant
from schemas.money import Amount
from schemas.resources import Transaction

Reason = Annotated[
    Description,
    Meta(min_length=1, extra={"requirement": "a string of 1 to 1000 characters"}),
]


_TOPUP_ID = re.compile(r"top_[0-9a-f]{24}")


class DebitBody(Struct, frozen=True, kw_only=True):
    """What a debit takes."""

    amount: Amount
    description: Reason
    reference: Reference
    metadata: Metadata = {}


class CreditBody(DebitBody, frozen=True, kw_only=True):
    """What a credit takes. `expires_at` is later than now; lots of low priority are burnt first."""

    expires_at: Instant | None = None
    priority: Priority = PRIORITY_DEFAULT


async def debit_wallet(services: Services, call: Call) -> Transaction:
    """Take money out, all or nothing."""
    return await _moved(services, call, Debit(**_fields(call)))


async def credit_wallet(services: Services, call: Call) -> Transaction:
    """Grant money that nobody has paid for."""
    body: CreditBody = call.body
    command = Credit(**_fields(call), expires_at=body.expires_at, priority=body.priority)
    return await _moved(services, call, command)


def _fields(call: Call) -> dict[str, Any]:
    body: DebitBody = call.body
    if _TOPUP_ID.fullmatch(body.reference):
        # it would take the reference that the top-up's payment comes under
        raise InvalidBodyError("reference must not be the id of a top-up.")
    return {
        "wallet_id": call.path["wallet_id"],
        "merchant_id": call.owner.merchant_id,
        "environment": call.owner.environment,
        "reference": body.reference,
        "amount": body.amount,
        "description": body.description,
        "metadata": body.metadata,
    }


async def _moved(services: Services, call: Call, command: AnyCommand) -> Transaction:
    return transaction((await accepted(services, call, command)).entry)


def transaction(entry: Entry) -> Transaction:
    """What the entry of a debit or a credit tells, the same each time."""
    event = entry.event
    if not isinstance(event, Debited | Credited):
        raise TypeError(f"entry {entry.position} of shard {entry.shard} is no debit or credit")
    return Transaction(
        id=transaction_id(entry.shard, entry.command_id),
        type="credit" if isinstance(event, Credited) else "debit",
        amount=event.amount,
        balance_before=event.balance_before,
        balance_after=event.balance_after,
        reference=event.reference,
        description=event.description,
        metadata=event.metadata,
        created_at=entry.occurred_at,
        expires_at=event.expires_at if isinstance(event, Credited) else UNSET,
    )
