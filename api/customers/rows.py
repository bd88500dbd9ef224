"""Rows of customers, and what is in them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from api.errors import ConflictError, ResourceMissingError
from api.services import Services
from engine.sql import load_queries
from projections.queries import DatabaseAwayError, reaching_database
from schemas.customers import Customer
from schemas.ids import Owner

CUSTOMER_QUERIES: Final = load_queries(Path(__file__).with_suffix(".sql"))


@asynccontextmanager
async def transaction(services: Services, deadline: float) -> AsyncIterator[PoolConnectionProxy]:
    """A connection in a transaction of its own, until `deadline` of the loop's clock.

    Raises DatabaseAwayError if it has not ended by then.
    """
    try:
        async with asyncio.timeout_at(deadline):
            with reaching_database():
                async with services.rows.acquire() as connection, connection.transaction():
                    yield connection
    except TimeoutError:
        raise DatabaseAwayError("The transaction did not end before the deadline.") from None


def to_customer(row: asyncpg.Record) -> Customer:
    return Customer(
        id=row["customer_id"],
        email=row["email"],
        name=row["name"],
        phone=row["phone"],
        currency=row["currency"],
        created_at=row["created_at"],
        metadata=msgspec.Raw(row["metadata"].encode()),
    )


async def lock_customer(
    connection: PoolConnectionProxy, owner: Owner, customer_id: str
) -> Customer:
    """The customer, which stays as it is until the transaction ends.

    Raises ResourceMissingError.
    """
    row = await connection.fetchrow(CUSTOMER_QUERIES["lock"], *owner, customer_id)
    if row is None:
        raise ResourceMissingError("customer", customer_id)
    return to_customer(row)


async def hold_customer(connection: PoolConnectionProxy, owner: Owner, customer_id: str) -> None:
    """Make sure that the customer is not deleted until the transaction ends.

    Raises ResourceMissingError.
    """
    if await connection.fetchval(CUSTOMER_QUERIES["hold"], *owner, customer_id) is None:
        raise ResourceMissingError("customer", customer_id)


async def claim_email(
    connection: PoolConnectionProxy, owner: Owner, key: str, customer_id: str
) -> None:
    """Make sure that the email is nobody else's until the transaction ends.

    Raises ConflictError.
    """
    await connection.execute(CUSTOMER_QUERIES["claim_email"], *owner, key)
    if await connection.fetchval(CUSTOMER_QUERIES["email_is_taken"], *owner, key, customer_id):
        raise ConflictError(
            "email_taken",
            "A customer with this email already exists. Find them with GET /customers?email=.",
        )
