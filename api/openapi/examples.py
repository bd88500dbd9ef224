"""Examples: of each body and each resource one, by the name of its struct."""

from typing import Any, Final

from msgspec.structs import fields

from api.calls import Operation
from api.versions import Version

_MOMENT: Final = "2026-05-24T10:00:00Z"
_DEBIT: Final[dict[str, Any]] = {
    "amount": 500,
    "description": "10 SMS messages sent",
    "reference": "sms_batch_8821",
}
_WALLET: Final[dict[str, Any]] = {
    "id": "wal_a1b2c3",
    "customer_id": "cus_abc123",
    "currency": "GHS",
    "balance": 0,
    "balance_formatted": "GH₵0.00",
    "status": "active",
    "created_at": _MOMENT,
    "metadata": {},
}
_LOT: Final[dict[str, Any]] = {
    "remaining": 500,
    "expires_at": "2026-12-31T23:59:59Z",
    "priority": 100,
}
_CUSTOMER: Final[dict[str, Any]] = {
    "id": "cus_a1b2c3",
    "email": "ama@example.com",
    "name": "Ama Owusu",
    "phone": None,
    "currency": "GHS",
    "created_at": _MOMENT,
    "metadata": {},
}

BODIES: Final[dict[str, dict[str, Any]]] = {
    "NewCustomerBody": {"email": "ama@example.com", "name": "Ama Owusu"},
    "CustomerChangesBody": {"phone": "+233241234567"},
    "OpenWalletBody": {"customer_id": "cus_abc123", "currency": "GHS"},
    "DebitBody": _DEBIT,
    "CreditBody": {
        "amount": 500,
        "description": "An apology for the delay",
        "reference": "goodwill_17",
        "expires_at": "2099-12-31T23:59:59Z",
        "priority": 50,
    },
    "TopupBody": {
        "amount": 5000,
        "redirect_url": "https://shop.example.com/thanks",
        "cancel_url": "https://shop.example.com/cart",
    },
}

RESOURCES: Final[dict[str, dict[str, Any]]] = {
    "Wallet": _WALLET,
    "WalletDetail": {
        **_WALLET,
        "balance": 500,
        "balance_formatted": "GH₵5.00",
        "lots": [_LOT],
    },
    "Transaction": {
        **_DEBIT,
        "id": "txn_0001000102030405060708090a0b0c0d0e0f",
        "type": "debit",
        "balance_before": 15000,
        "balance_after": 14500,
        "metadata": {},
        "created_at": _MOMENT,
    },
    "Topup": {
        "id": "top_a1b2c3",
        "wallet_id": "wal_a1b2c3",
        "amount": 5000,
        "currency": "GHS",
        "status": "pending",
        "checkout_url": "https://wallets.example.com/checkout/tok_xyz",
        "redirect_url": "https://shop.example.com/thanks",
        "cancel_url": "https://shop.example.com/cart",
        "expires_at": "2026-05-24T10:30:00Z",
        "created_at": _MOMENT,
    },
    "Customer": _CUSTOMER,
    "CustomerDetail": {**_CUSTOMER, "subscriptions": [], "payment_methods": []},
    "DeletedCustomer": {"id": "cus_a1b2c3", "deleted": True},
}

_ENDS_OF_LISTS: Final[dict[str, dict[str, Any]]] = {
    "v1": {"has_more": False},
    "v2": {"next_cursor": None, "prev_cursor": None},
}


def body_example(operation: Operation) -> dict[str, Any]:
    """What the operation may be sent."""
    return BODIES[operation.body.__name__]


def answer_example(version: Version, operation: Operation) -> dict[str, Any]:
    """What it may answer with in this version."""
    if operation.listed:
        return {"data": [_resource(version, operation)], **_ENDS_OF_LISTS[version.name]}
    return _resource(version, operation)


def _resource(version: Version, operation: Operation) -> dict[str, Any]:
    shown = operation.answer
    if version.name == "v1" and operation.v1_answer is not None:
        shown = operation.v1_answer
    names = {field.encode_name for field in fields(shown)}
    example = RESOURCES[operation.answer.__name__]
    return {name: value for name, value in example.items() if name in names}
