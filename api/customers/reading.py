"""Reading customers."""

from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from api.calls import Call
from api.customers.contacts import email_key, is_email
from api.customers.rows import CUSTOMER_QUERIES, to_customer
from api.errors import ResourceMissingError
from api.parameters import ListQuery, invalid
from api.services import Services
from projections.pages import Key, Page, PageQuery, UnknownCursorError
from projections.queries import reaching_database
from schemas.customers import Customer, CustomerDetail
from schemas.ids import CustomerId, Owner

_PAGE: Final = PageQuery(CUSTOMER_QUERIES["page"], key_columns=2)


class CustomerListQuery(ListQuery, frozen=True, kw_only=True):
    after: Annotated[
        CustomerId | None, Meta(description="the id of the last item of the page before")
    ] = None
    email: Annotated[
        str | None,
        Meta(description="a valid email address", extra_json_schema={"format": "email"}),
    ] = None

    def __post_init__(self) -> None:
        if self.email is not None and not is_email(self.email):
            raise invalid(type(self), "email")


async def get_customer(services: Services, call: Call) -> CustomerDetail:
    """One customer."""
    customer_id = call.path["customer_id"]
    with reaching_database():
        row = await services.rows.fetchrow(CUSTOMER_QUERIES["customer"], *call.owner, customer_id)
    if row is None:
        raise ResourceMissingError("customer", customer_id)
    return CustomerDetail(**msgspec.structs.asdict(to_customer(row)))


async def list_customers(services: Services, call: Call) -> Page[Customer]:
    """Customers, newest first."""
    query: CustomerListQuery = call.query
    email = query.email
    with reaching_database():
        return await _PAGE.page(
            services.rows,
            call.page,
            partial(_key, services, call.owner),
            to_customer,
            *call.owner,
            None if email is None else email_key(email),
        )


async def _key(services: Services, owner: Owner, customer_id: str) -> Key:
    created_at = await services.rows.fetchval(CUSTOMER_QUERIES["place"], *owner, customer_id)
    if created_at is None:
        raise UnknownCursorError(f"There is no customer {customer_id}.")
    return created_at, customer_id
