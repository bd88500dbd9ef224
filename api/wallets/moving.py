"""Moving money: debits and credits by hand."""

from msgspec import UNSET, Struct

from api.calls import Call
from api.errors import ConflictError, ResourceMissingError
from api.services import Services
from engine.receipts import Rejected
from schemas.commands import AnyCommand, Debit, Description, Metadata, Reference
from schemas.entries import Entry
from schemas.events import Debited
from schemas.ids import transaction_id
from schemas.money import Amount
from schemas.resources import Transaction


class DebitBody(Struct, frozen=True, kw_only=True):
    """What a debit takes."""

    amount: Amount
    description: Description
    reference: Reference
    metadata: Metadata = {}


async def debit_wallet(services: Services, call: Call) -> Transaction:
    """Take money out, all or nothing."""
    body: DebitBody = call.body
    command = Debit(
        wallet_id=call.path["wallet_id"],
        reference=body.reference,
        merchant_id=call.owner.merchant_id,
        environment=call.owner.environment,
        amount=body.amount,
        description=body.description,
        metadata=body.metadata,
    )
    return _transaction(await _accepted(services, call, command))


async def _accepted(services: Services, call: Call, command: AnyCommand) -> Entry:
    outcome = await services.gateway.carry(command, call.deadline)
    if isinstance(outcome, Rejected):
        code = outcome.rejection.code
        if code == "wallet_not_found":
            raise ResourceMissingError("wallet", command.wallet_id)
        raise ConflictError(code, outcome.rejection.message)
    return outcome.entry


def _transaction(entry: Entry) -> Transaction:
    event = entry.event
    if not isinstance(event, Debited):
        raise TypeError(f"a {type(event).__name__} moves no money")
    return Transaction(
        id=transaction_id(entry.shard, entry.command_id),
        type="debit",
        amount=event.amount,
        balance_before=event.balance_before,
        balance_after=event.balance_after,
        reference=event.reference,
        description=event.description,
        metadata=event.metadata,
        created_at=entry.occurred_at,
        expires_at=UNSET,
    )
