"""Intents: wallets that are being made, from before the command is sent until its outcome is seen.

Whoever sees one may send its command again: by its reference it makes one wallet at most.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final

from asyncpg.pool import PoolConnectionProxy

from api.errors import CommandSetAsideError, OutcomeUnknownError
from api.gateway import SET_ASIDE_FOR
from api.services import Services
from engine.receipts import Accepted, Rejected
from engine.sql import load_queries
from projections.errors import ProjectionError
from projections.queries import reaching_database
from schemas.commands import AnyCommand, CreateWallet, decode_command, encode_command

_SWEPT_AT_ONCE_MAX: Final = 200

_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))
_log = logging.getLogger(__name__)


async def intend(connection: PoolConnectionProxy, command: CreateWallet) -> None:
    """Note that the command is going to be sent; it may be, once the transaction has ended."""
    await connection.execute(
        _QUERIES["intend"], command.wallet_id, command.customer_id, encode_command(command)
    )


async def intended_for(connection: PoolConnectionProxy, customer_id: str) -> list[AnyCommand]:
    """The commands for wallets of a customer whose outcome nobody has seen."""
    rows = await connection.fetch(_QUERIES["of_customer"], customer_id)
    return [decode_command(row["command"]) for row in rows]


async def settle(services: Services, command: AnyCommand, deadline: float) -> Accepted | Rejected:
    """Send an intended command and end the intent when its outcome is seen.

    Raises OutcomeUnknownError at `deadline` of the loop's clock, CommandSetAsideError if the engine
    could make nothing of it.
    """
    try:
        outcome = await services.gateway.carry(command, deadline)
    except CommandSetAsideError:
        await _note(services, "set_aside", command)
        raise
    await _note(services, "settled", command)
    return outcome


async def _note(services: Services, query: str, command: AnyCommand) -> None:
    try:
        with reaching_database():
            await services.rows.execute(_QUERIES[query], command.wallet_id)
    except ProjectionError as error:
        # what became of the command is known all the same, and the sweep ends what is left
        _log.warning("The intent of %s is left for now: %s", command.wallet_id, error)


async def settle_left(services: Services) -> None:
    """Settle what requests have left behind, however they ended."""
    deadline_s = services.settings.api_deadline_ms / 1000
    with reaching_database():
        rows = await services.rows.fetch(
            _QUERIES["take_over"], deadline_s, _SWEPT_AT_ONCE_MAX, SET_ASIDE_FOR
        )
    deadline = asyncio.get_running_loop().time() + deadline_s
    outcomes = await asyncio.gather(
        *(_settle_again(services, row["command"], deadline) for row in rows),
        return_exceptions=True,
    )
    for outcome in outcomes:
        # those are taken over again later
        if isinstance(outcome, BaseException) and not isinstance(outcome, OutcomeUnknownError):
            raise outcome


async def _settle_again(services: Services, command: bytes, deadline: float) -> None:
    await settle(services, decode_command(command), deadline)
