"""Paying: one command for a payment, however often it is pressed and whoever dies meanwhile.

Once a row is paying, its command is sent until an outcome has been seen. Its reference is the
top-up's id, so the wallet takes it once.
"""

import asyncio
import logging
from typing import Final

from api.errors import ApiError, CommandSetAsideError
from api.gateway import SET_ASIDE_FOR
from api.services import Services
from api.topups.rows import StoredTopup, TopupRows
from engine.receipts import Rejected
from projections.errors import ProjectionError
from schemas.commands import TopUp

# the same for ever: another text would make another command of one that is sent again
_DESCRIPTION: Final = "Top-up"

_SETTLED_AT_ONCE_MAX: Final = 100
_SILENCE_S_MIN: Final = 3.0
_SILENCE_S_MAX: Final = 60.0

_log = logging.getLogger(__name__)


async def pay(services: Services, token: str, deadline: float) -> bool:
    """The customer has pressed Pay; whether that has an outcome, at the latest at the deadline.

    From the moment that the row is paying nothing that goes wrong is for the customer to mend.
    """
    rows = TopupRows(services.rows)
    topup = await rows.begin_paying(token, services.clock())
    if topup is None:
        checkout = await rows.checkout(token)
        if checkout is None or checkout.topup.status != "paying":
            return True
        topup = checkout.topup
    try:
        await settle(services, topup, deadline)
    except (ApiError, ProjectionError) as error:
        _log.warning("%s is not settled yet: %s", topup.topup_id, error)
        return False
    return True


async def settle(services: Services, topup: StoredTopup, deadline: float) -> None:
    """Send the command of a row that is paying, and write down what becomes of it.

    Raises OutcomeUnknownError if that is not known at the deadline, CommandSetAsideError if the
    engine could make nothing of it.
    """
    command = TopUp(
        wallet_id=topup.wallet_id,
        reference=topup.topup_id,
        merchant_id=topup.merchant_id,
        environment=topup.environment,
        amount=topup.amount,
        currency=topup.currency,
        description=_DESCRIPTION,
    )
    rows = TopupRows(services.rows)
    try:
        outcome = await services.gateway.carry(command, deadline)
    except CommandSetAsideError:
        await rows.set_aside(topup)
        raise
    failure = outcome.rejection.code if isinstance(outcome, Rejected) else None
    await rows.settle(topup, failure)


async def settle_payments(services: Services) -> None:
    """End payments that somebody began and did not end; raises what the first failed with."""
    topups = await TopupRows(services.rows).take_unsettled(
        _SETTLED_AT_ONCE_MAX,
        silence_s_min=_SILENCE_S_MIN,
        silence_s_max=_SILENCE_S_MAX,
        set_aside_for=SET_ASIDE_FOR,
    )
    deadline = asyncio.get_running_loop().time() + services.settings.api_deadline_ms / 1000
    ended = await asyncio.gather(
        *(settle(services, topup, deadline) for topup in topups), return_exceptions=True
    )
    for failure in ended:
        if isinstance(failure, BaseException):
            raise failure


async def expire_topups(services: Services) -> None:
    """End top-ups that nobody paid for in time."""
    await TopupRows(services.rows).expire(services.clock())
