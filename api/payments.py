"""Payments: who takes a customer's money for a top-up, and where.

A provider opens a checkout, to which the customer is sent. Opening one for the same top-up again
must do no harm: of two that were opened at the same time, one is never shown to anybody.
"""

import secrets
from typing import Final, Protocol

from api.errors import ConflictError
from schemas.ids import Environment

_TOKEN_BYTES: Final = 32


class PaymentProvider(Protocol):
    """What a top-up needs of whoever takes the money."""

    async def open_checkout(self, topup_id: str, amount: int, currency: str) -> str:
        """The token of a new checkout, by which the provider knows it ever after."""

    def checkout_url(self, token: str) -> str:
        """Where the customer pays."""


class Sandbox:
    """Takes no money: its checkout is a page of our own, and whoever presses Pay has paid."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url

    async def open_checkout(self, topup_id: str, amount: int, currency: str) -> str:
        """The token is drawn, so that it says nothing and can't be guessed."""
        del topup_id, amount, currency
        return secrets.token_urlsafe(_TOKEN_BYTES)

    def checkout_url(self, token: str) -> str:
        return f"{self._public_url}/checkout/{token}"


def payment_provider(environment: Environment, public_url: str) -> PaymentProvider:
    """The environment's provider; raises ConflictError if it has none."""
    if environment == "sandbox":
        return Sandbox(public_url)
    raise ConflictError(
        "payment_provider_missing",
        f"No payment provider is configured for the {environment} environment, so nothing can be"
        " paid for there. Use a key of the sandbox environment.",
    )
