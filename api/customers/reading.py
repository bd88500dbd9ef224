"""Reading customers."""

import msgspec

from api.calls import Call
from api.customers.rows import CUSTOMER_QUERIES, to_customer
from api.errors import ResourceMissingError
from api.services import Services
from projections.queries import reaching_database
from schemas.customers import CustomerDetail


async def get_customer(services: Services, call: Call) -> CustomerDetail:
    """One customer."""
    customer_id = call.path["customer_id"]
    with reaching_database():
        row = await services.rows.fetchrow(CUSTOMER_QUERIES["customer"], *call.owner, customer_id)
    if row is None:
        raise ResourceMissingError("customer", customer_id)
    return CustomerDetail(**msgspec.structs.asdict(to_customer(row)))
