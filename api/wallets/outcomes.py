"""Outcomes: a command to a wallet of the caller's, and what came of it."""

from api.calls import Call
from api.errors import ConflictError, ResourceMissingError
from api.services import Services
from engine.receipts import Accepted, Rejected
from schemas.commands import AnyCommand


async def accepted(services: Services, call: Call, command: AnyCommand) -> Accepted:
    """Carry out a command to a wallet that is there already.

    A wallet that is not the caller's is a ResourceMissingError, and nothing is sent; what a rule
    refuses is a ConflictError with the rule's own code and sentence.
    """
    await services.wallet_owners.check(call.owner, command.wallet_id)
    outcome = await services.gateway.carry(command, call.deadline)
    if isinstance(outcome, Rejected):
        rejection = outcome.rejection
        if rejection.code == "wallet_not_found":
            raise ResourceMissingError("wallet", command.wallet_id)
        raise ConflictError(rejection.code, rejection.message)
    return outcome
