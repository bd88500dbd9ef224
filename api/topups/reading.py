"""Reading top-ups."""

from functools import partial

from api.calls import Call
from api.services import Services
from api.topups.presentation import to_resource
from api.topups.rows import TopupRows
from projections.pages import Page
from schemas.resources import Topup


async def list_topups(services: Services, call: Call) -> Page[Topup]:
    """A wallet's top-ups, newest first."""
    wallet_id = call.path["wallet_id"]
    await services.wallet_owners.check(call.owner, wallet_id)
    return await TopupRows(services.rows).page(
        wallet_id, call.page, partial(to_resource, services)
    )
