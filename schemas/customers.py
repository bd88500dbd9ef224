"""Customers, as the API answers with them."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct


class Customer(Struct, frozen=True, kw_only=True):
    """Somebody to hold wallets; `currency` is what theirs are in unless they say otherwise."""

    id: str
    email: str
    name: str | None
    phone: str | None
    currency: str
    created_at: datetime
    metadata: msgspec.Raw


class CustomerDetail(Customer, frozen=True, kw_only=True):
    """A customer with what they subscribe to and pay with."""

    subscriptions: list[dict[str, Any]] = []
    payment_methods: list[dict[str, Any]] = []


class DeletedCustomer(Struct, frozen=True, kw_only=True):
    """What is left of a customer: the id."""

    id: str
    deleted: bool = True
