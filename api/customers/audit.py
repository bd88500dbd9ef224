"""Audit: who changed which fields of a customer, and when, without what stands in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from asyncpg.pool import PoolConnectionProxy

from api.calls import Call
from api.services import Services
from engine.sql import load_queries

_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))


class Change(NamedTuple):
    """What is done to a customer, and to which of its fields."""

    customer_id: str
    action: Literal["created", "updated", "deleted"]
    fields: Iterable[str] = ()


async def record_change(
    connection: PoolConnectionProxy, services: Services, call: Call, change: Change
) -> None:
    """Add a row, in the transaction that makes the change."""
    await connection.execute(
        _QUERIES["record_change"],
        change.customer_id,
        services.clock(),
        call.principal.client_id,
        call.request_id,
        change.action,
        sorted(change.fields),
    )
