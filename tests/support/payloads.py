"""Command payloads as an upstream service would send them."""

from typing import Any

import msgspec


def payload(kind: str, wallet_id: str, reference: str, **fields: Any) -> bytes:
    return msgspec.json.encode(
        {"type": kind, "wallet_id": wallet_id, "reference": reference, **fields}
    )


def create(wallet_id: str, reference: str = "create", **fields: Any) -> bytes:
    owner = {
        "merchant_id": "mch_a1",
        "environment": "sandbox",
        "customer_id": "cus_a1",
        "currency": "GHS",
    }
    return payload("create_wallet", wallet_id, reference, **(owner | fields))


def topup(wallet_id: str, reference: str, amount: Any, **fields: Any) -> bytes:
    return payload("topup", wallet_id, reference, amount=amount, **fields)


def credit(wallet_id: str, reference: str, amount: Any, **fields: Any) -> bytes:
    return payload("credit", wallet_id, reference, amount=amount, **fields)


def debit(wallet_id: str, reference: str, amount: Any, **fields: Any) -> bytes:
    return payload("debit", wallet_id, reference, amount=amount, **fields)
