"""Registering customers."""

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from api.calls import Call
from api.customers.audit import Change, record_change
from api.customers.contacts import email_key
from api.customers.fields import NewCustomerBody
from api.customers.rows import CUSTOMER_QUERIES, claim_email, to_customer, transaction
from api.errors import ResourceMissingError
from api.services import Services
from schemas.customers import Customer


async def create_customer(services: Services, call: Call) -> Customer:
    """A new customer, or the one that this request has made before."""
    customer_id = f"cus_{call.effect_id}"
    async with transaction(services, call.deadline) as connection:
        # first of all, for its email may be another customer's by now
        row = await _made_before(connection, call, customer_id)
        if row is None:
            await claim_email(connection, call.owner, email_key(call.body.email), customer_id)
            row = await _add(connection, services, call, customer_id)
        if row is None:
            # by a twin, at the same time
            row = await _made_before(connection, call, customer_id)
    if row is None:
        raise ResourceMissingError("customer", customer_id)
    return to_customer(row)


async def _made_before(
    connection: PoolConnectionProxy, call: Call, customer_id: str
) -> asyncpg.Record | None:
    return await connection.fetchrow(CUSTOMER_QUERIES["customer"], *call.owner, customer_id)


async def _add(
    connection: PoolConnectionProxy, services: Services, call: Call, customer_id: str
) -> asyncpg.Record | None:
    body: NewCustomerBody = call.body
    row = await connection.fetchrow(
        CUSTOMER_QUERIES["add"],
        *call.owner,
        customer_id,
        body.email,
        email_key(body.email),
        body.name,
        body.phone,
        body.currency,
        msgspec.json.encode(body.metadata).decode(),
        services.clock(),
    )
    if row is not None:
        given = msgspec.structs.asdict(body).items()
        named = [name for name, value in given if value not in (None, {})]
        await record_change(connection, services, call, Change(customer_id, "created", named))
    return row
