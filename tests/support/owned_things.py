"""One thing of each kind for an owner, and requests for any operation made of such things.

What an operation takes is read from its path, its query and its body. A name that is not known here
is a LookupError: nothing that may name somebody's thing is passed over.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import httpx
import msgspec

from api.calls import Operation
from api.versions import Version
from schemas.customers import Customer
from schemas.resources import Topup, Transaction, Wallet

Where = Literal["path", "body", "query"]

KINDS = {"customer_id": "customer", "wallet_id": "wallet"}
"""Of what an id is, by its name."""

LISTED = {Customer: "customer", Wallet: "wallet", Transaction: "transaction", Topup: "topup"}
"""What a list is of, by what it answers with."""

HARMLESS = {"limit", "type", "status", "currency", "wait_for"}
"""Query parameters that name nothing of anybody's."""

_PREFIXES = {"customer": "cus_", "wallet": "wal_", "transaction": "txn_0000", "topup": "top_"}
_EXAMPLES = {
    "amount": 5,
    "currency": "GHS",
    "description": "Test",
    "name": "Ama Owusu",
    "redirect_url": "https://shop.example/paid",
}
_NAMES = re.compile(r"\{(\w+)\}")
_numbers = count()


@dataclass(frozen=True)
class Slot:
    """A place in an operation's request where something of an owner's is named."""

    where: Where
    name: str
    kind: str


@dataclass(frozen=True)
class Things:
    """What an owner has. `ids` are by kind; `email` and `reference` are as good as ids."""

    client: httpx.AsyncClient
    ids: dict[str, str]
    email: str
    reference: str

    @property
    def traces(self) -> set[str]:
        """What must be in no answer to anybody else."""
        return {*self.ids.values(), self.email, self.reference}

    def value(self, slot: Slot) -> str:
        return {"email": self.email, "reference": self.reference}.get(slot.kind) or self.ids[
            slot.kind
        ]


async def make_things(client: httpx.AsyncClient, *, payable: bool = True) -> Things:
    """A customer with a wallet, which has money to take out, a transaction and a top-up.

    There is no top-up where nothing is `payable`.
    """
    tag = f"things{next(_numbers)}x{id(client)}"
    email = f"{tag}@example.com"
    customer = await _made(client, "/v1/customers", {"email": email})
    opening = {"customer_id": customer["id"], "currency": "GHS"}
    wallet = await _made(client, "/v1/wallets", opening)
    of_wallet = f"/v1/wallets/{wallet['id']}"
    credit = {"amount": 1_000, "description": "Funds", "reference": f"funds {tag}"}
    transaction = await _made(client, f"{of_wallet}/credit", credit)
    checkout = {"amount": 100, "redirect_url": "https://shop.example/paid"}
    made = {"customer": customer, "wallet": wallet, "transaction": transaction}
    if payable:
        made["topup"] = await _made(client, f"{of_wallet}/topups", checkout)
    ids = {kind: thing["id"] for kind, thing in made.items()}
    return Things(client, ids, email, credit["reference"])


async def _made(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    thing: dict[str, Any] = answer.json()
    return thing


def never_was(slot: Slot) -> str:
    """What could name a thing, and never did."""
    if slot.kind in ("email", "reference"):
        return f"never-was-{next(_numbers)}@example.com"
    prefix = _PREFIXES[slot.kind]
    return prefix + "0" * (40 - len(prefix) if slot.kind == "transaction" else 24)


def slots(operation: Operation, version: Version) -> Iterator[Slot]:
    """Every place where something of an owner's is named; LookupError for what is not known."""
    for name in _NAMES.findall(operation.path):
        yield Slot("path", name, _kind(operation, name))
    for field in msgspec.structs.fields(operation.body):
        if "id" in field.name.split("_") or field.name.endswith("ids"):
            yield Slot("body", field.name, _kind(operation, field.name))
    for field in msgspec.structs.fields(operation.query):
        name = field.name
        if name in HARMLESS or name in version.hidden:
            continue
        if name in ("email", "reference"):
            yield Slot("query", name, name)
        elif name == "after":
            yield Slot("query", name, LISTED[operation.answer])
        elif name != "cursor":
            yield Slot("query", name, _kind(operation, name))


def _kind(operation: Operation, name: str) -> str:
    if name not in KINDS:
        raise LookupError(
            f"{operation.name} takes {name}: say in {__name__} of what that is, and make one"
        )
    return KINDS[name]


async def ask(
    client: httpx.AsyncClient,
    version: Version,
    operation: Operation,
    values: dict[Slot, str],
    key: str | None = None,
) -> httpx.Response:
    """The operation's answer, where `values` has all that its path and its body need."""
    named = {slot.name: value for slot, value in values.items() if slot.where == "path"}
    query = {slot.name: value for slot, value in values.items() if slot.where == "query"}
    return await client.request(
        operation.method,
        f"/{version.name}{operation.path.format(**named)}",
        params=query,
        json=_body(operation, values) if operation.method in ("POST", "PATCH") else None,
        headers={} if key is None else {"Idempotency-Key": key},
    )


def _body(operation: Operation, values: dict[Slot, str]) -> dict[str, Any]:
    body: dict[str, Any] = {
        slot.name: value for slot, value in values.items() if slot.where == "body"
    }
    fresh = {"reference": f"ref {next(_numbers)}", "email": f"new{next(_numbers)}@example.com"}
    examples = _EXAMPLES | fresh
    for field in msgspec.structs.fields(operation.body):
        if field.name not in body and (field.required or field.name == "name"):
            if field.name not in examples:
                raise LookupError(
                    f"{operation.name} needs {field.name}: add an example to {__name__}"
                )
            body[field.name] = examples[field.name]
    return body
