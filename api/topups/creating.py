"""Creating top-ups: a checkout for the customer to pay at."""

from datetime import timedelta

from msgspec import Struct

from api.calls import Call
from api.errors import ConflictError
from api.payments import payment_provider
from api.services import Services
from api.topups.presentation import to_resource
from api.topups.redirects import RedirectUrl
from api.topups.rows import StoredTopup, TopupRows
from schemas.money import Amount
from schemas.resources import Topup


class TopupBody(Struct, frozen=True, kw_only=True):
    """What a top-up takes: where the customer goes after paying, or after giving up."""

    amount: Amount
    redirect_url: RedirectUrl
    cancel_url: RedirectUrl | None = None


async def create_topup(services: Services, call: Call) -> Topup:
    """A pending top-up; the wallet gets nothing before the customer has paid."""
    rows = TopupRows(services.rows)
    topup_id = f"top_{call.effect_id}"
    stored = await rows.find(topup_id) or await rows.add(await _new(services, call, topup_id))
    return to_resource(services, stored)


async def _new(services: Services, call: Call, topup_id: str) -> StoredTopup:
    body: TopupBody = call.body
    wallet_id = call.path["wallet_id"]
    now = services.clock()
    wallet = await services.reads.wallet(call.owner, wallet_id, call.deadline)
    if wallet.status == "closed":
        raise ConflictError("wallet_closed", "The wallet is closed for ever; use another one.")
    provider = payment_provider(call.owner.environment, services.public_url)
    return StoredTopup(
        topup_id=topup_id,
        merchant_id=call.owner.merchant_id,
        environment=call.owner.environment,
        wallet_id=wallet_id,
        amount=body.amount,
        currency=wallet.currency,
        token=await provider.open_checkout(topup_id, body.amount, wallet.currency),
        redirect_url=body.redirect_url,
        cancel_url=body.cancel_url,
        created_at=now,
        expires_at=now + timedelta(minutes=services.settings.checkout_minutes),
    )
