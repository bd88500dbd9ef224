"""Deleting customers."""

import asyncio
from pathlib import Path
from typing import Final

from asyncpg.pool import PoolConnectionProxy

from api.calls import Call
from api.customers.audit import Change, record_change
from api.customers.rows import lock_customer, transaction
from api.errors import ConflictError, OutcomeUnknownError, UnavailableError
from api.services import Services
from api.wallets.intents import intended_for, settle
from engine.sql import load_queries
from projections.queries import reaching_database
from schemas.customers import DeletedCustomer
from schemas.entries import decode_entry
from schemas.events import WalletCreated

_MODELS: Final = ("wallets",)

_QUERIES = load_queries(Path(__file__).with_name("deletion.sql"))


async def delete_customer(services: Services, call: Call) -> DeletedCustomer:
    """Forget a customer whose wallets are all closed; what is personal is gone for ever."""
    customer_id = call.path["customer_id"]
    try:
        async with asyncio.timeout_at(call.deadline):
            await _settle_wallets(services, call, customer_id)
            while not await _deleted(services, call, customer_id):
                await _settle_wallets(services, call, customer_id)
    except (TimeoutError, OutcomeUnknownError):
        raise UnavailableError(
            "Whether all wallets of this customer are closed is not known at the moment."
            " Try again in a while."
        ) from None
    return DeletedCustomer(id=customer_id)


async def _settle_wallets(services: Services, call: Call, customer_id: str) -> None:
    """Have no wallet on its way, and all that there are in the read models, as far as is known.

    Nothing is locked while there is anything to wait for. Raises ResourceMissingError.
    """
    async with transaction(services, call.deadline) as connection:
        await lock_customer(connection, call.owner, customer_id)
        commands = await intended_for(connection, customer_id)
    for command in commands:
        await settle(services, command, call.deadline)
    await services.reads.caught_up(_MODELS, call.deadline)


async def _deleted(services: Services, call: Call, customer_id: str) -> bool:
    """Delete the customer, unless a wallet is on its way to being shown.

    Raises ConflictError for an open one.
    """
    async with transaction(services, call.deadline) as connection:
        await lock_customer(connection, call.owner, customer_id)
        # with the customer locked, no more can be intended
        if await intended_for(connection, customer_id):
            return False
        if await _is_unshown(connection, customer_id):
            return False
        await _refuse_open_wallets(connection, call, customer_id)
        await connection.execute(_QUERIES["bury"], customer_id, services.clock())
        await connection.execute(_QUERIES["forget_answer"], customer_id.removeprefix("cus_"))
        await record_change(connection, services, call, Change(customer_id, "deleted"))
    return True


async def _is_unshown(connection: PoolConnectionProxy, customer_id: str) -> bool:
    """Whether the log has a wallet of the customer that the read models lack."""
    rows = await connection.fetch(_QUERIES["unshown"])
    events = (decode_entry(row["data"]).event for row in rows)
    return any(
        isinstance(event, WalletCreated) and event.customer_id == customer_id for event in events
    )


async def _refuse_open_wallets(
    connection: PoolConnectionProxy, call: Call, customer_id: str
) -> None:
    wallet_id = await connection.fetchval(_QUERIES["open_wallet"], *call.owner, customer_id)
    if wallet_id is not None:
        raise ConflictError(
            "customer_has_wallets",
            f"The customer '{customer_id}' has a wallet that is not closed ('{wallet_id}')."
            " Close every wallet of theirs first.",
        )


async def forget_late_answers(services: Services) -> None:
    """Forget what requests that made a customer kept as their answer after it was deleted."""
    seconds = 6 * services.settings.api_deadline_ms / 1000
    with reaching_database():
        await services.rows.execute(_QUERIES["forget_late_answers"], seconds)
