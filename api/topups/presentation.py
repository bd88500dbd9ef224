"""Presentation: a top-up as the API answers with it."""

from api.payments import payment_provider
from api.services import Services
from api.topups.rows import StoredTopup
from schemas.resources import Topup


def to_resource(services: Services, stored: StoredTopup) -> Topup:
    """The top-up as it is now."""
    provider = payment_provider(stored.environment, services.public_url)
    return Topup(
        id=stored.topup_id,
        wallet_id=stored.wallet_id,
        amount=stored.amount,
        currency=stored.currency,
        status=stored.shown_at(services.clock()),
        checkout_url=provider.checkout_url(stored.token),
        redirect_url=stored.redirect_url,
        cancel_url=stored.cancel_url,
        expires_at=stored.expires_at,
        created_at=stored.created_at,
    )
