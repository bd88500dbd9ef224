"""Changing customers."""

from typing import Any

import msgspec
from asyncpg.pool import PoolConnectionProxy
from msgspec import UNSET

from api.calls import Call
from api.customers.audit import Change, record_change
from api.customers.contacts import email_key
from api.customers.fields import CustomerChangesBody
from api.customers.rows import (
    CUSTOMER_QUERIES,
    claim_email,
    lock_customer,
    to_customer,
    transaction,
)
from api.errors import InvalidBodyError
from api.services import Services
from schemas.customers import Customer


async def change_customer(services: Services, call: Call) -> Customer:
    """The customer with the fields that were given as they were given."""
    given = _given(call.body)
    customer_id = call.path["customer_id"]
    async with transaction(services, call.deadline) as connection:
        current = await lock_customer(connection, call.owner, customer_id)
        if given.get("currency", UNSET) is None:
            given["currency"] = await connection.fetchval(
                CUSTOMER_QUERIES["default_currency"], call.owner.merchant_id
            )
        fields = _fields(current)
        changed = {name for name, value in given.items() if value != fields[name]}
        if not changed:
            return current
        if "email" in changed:
            await claim_email(connection, call.owner, email_key(given["email"]), customer_id)
        customer = await _change(connection, services, customer_id, fields | given)
        await record_change(connection, services, call, Change(customer_id, "updated", changed))
    return customer


def _given(body: CustomerChangesBody) -> dict[str, Any]:
    given = {
        name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET
    }
    for name in body.never_cleared:
        if given.get(name, UNSET) is None:
            raise InvalidBodyError(f"{name} can't be cleared.")
    if given.get("metadata", UNSET) is None:
        given["metadata"] = {}
    return given


def _fields(customer: Customer) -> dict[str, Any]:
    return msgspec.structs.asdict(customer) | {"metadata": msgspec.json.decode(customer.metadata)}


async def _change(
    connection: PoolConnectionProxy, services: Services, customer_id: str, fields: dict[str, Any]
) -> Customer:
    (row,) = await connection.fetch(
        CUSTOMER_QUERIES["change"],
        customer_id,
        fields["email"],
        email_key(fields["email"]),
        fields["name"],
        fields["phone"],
        fields["currency"],
        msgspec.json.encode(fields["metadata"]).decode(),
        services.clock(),
    )
    return to_customer(row)
