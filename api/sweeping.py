"""Sweeping: work that is begun in rows and has to be ended, whoever began it and died."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from api.customers.deleting import forget_late_answers
from api.errors import ApiError
from api.idempotency import forget_keys
from api.services import Services
from api.topups.paying import expire_topups, settle_payments
from api.wallets.intents import settle_left
from projections.errors import ProjectionError

Sweep = Callable[[Services], Awaitable[None]]

SWEEPS: Final[tuple[Sweep, ...]] = (
    expire_topups,
    forget_keys,
    forget_late_answers,
    settle_left,
    settle_payments,
)
"""Each ends what it finds, a bounded number at a time; every API process runs all of them."""

_INTERVAL_S: Final = 2.0

_log = logging.getLogger(__name__)


async def sweep(services: Services) -> None:
    """Run every sweep from time to time, until cancelled."""
    while True:
        await asyncio.sleep(_INTERVAL_S)
        for each in SWEEPS:
            try:
                await each(services)
            except (ApiError, ProjectionError) as error:
                _log.warning("%s: %s", each.__name__, error)
            except Exception:  # noqa: BLE001 - of one row, maybe: the others go on
                _log.exception("%s failed unexpectedly", each.__name__)
