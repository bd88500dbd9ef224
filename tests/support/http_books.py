"""Books of clients: what each knows, and all of them held against the service when all is quiet."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx

from engine.replay import wallet_at
from tests.support.query_api import walk

_SIGNS = {"debit": -1, "write_off": -1, "credit": 1, "topup": 1}
_PAGE = 100
_FUNDS = 10**9


@dataclass
class WalletBook:
    """A wallet as its client knows it. Movements are by reference, in, or out if negative."""

    id: str
    customer_id: str
    balance: int = 0
    status: str = "active"
    movements: dict[str, int] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    perhaps: dict[str, int] = field(default_factory=dict)
    perhaps_status: str | None = None
    topups: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    @property
    def left_alone(self) -> bool:
        return bool(self.perhaps) or self.perhaps_status is not None or self.status == "closed"

    def moved(self, reference: str, amount: int, answer: Any = None) -> None:
        self.movements[reference] = amount
        self.balance += amount
        if answer is not None:
            self.answers[reference] = answer


@dataclass
class Books:
    """What one client knows; `made` is by the tag that it gave each thing."""

    wallets: dict[str, WalletBook] = field(default_factory=dict)
    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted_customers: set[str] = field(default_factory=set)
    perhaps_wallets: set[str] = field(default_factory=set)
    perhaps_customers: set[str] = field(default_factory=set)
    perhaps_topups: set[str] = field(default_factory=set)
    shared: dict[str, WalletBook] = field(default_factory=dict)


def merged(books: Sequence[Books]) -> list[WalletBook]:
    """Every wallet that anybody knows of; shared ones as all know them together."""
    wallets = [wallet for each in books for wallet in each.wallets.values()]
    for wallet_id in books[0].shared:
        shared = WalletBook(wallet_id, "")
        for each in books:
            own = each.shared[wallet_id]
            for reference, moved in own.movements.items():
                shared.moved(reference, moved, own.answers[reference])
            shared.perhaps |= own.perhaps
        wallets.append(shared)
    return wallets


async def fund_shared(client: httpx.AsyncClient, count: int) -> Books:
    """So many wallets with funds that nobody will use up, made before other clients come."""
    books = Books()
    body = {"email": "shared@example.com"}
    customer = (await client.post("/v1/customers", json=body)).json()
    books.customers[customer["id"]] = {}
    for _ in range(count):
        body = {"customer_id": customer["id"], "currency": "GHS"}
        wallet = (await client.post("/v1/wallets", json=body)).json()
        credit = {"amount": _FUNDS, "description": "Funds", "reference": "fund"}
        answer = await client.post(f"/v1/wallets/{wallet['id']}/credit", json=credit)
        assert answer.status_code == 200, answer.text
        book = books.shared[wallet["id"]] = WalletBook(wallet["id"], customer["id"])
        book.moved("fund", _FUNDS, answer.json())
    return books


async def check_books(
    client: httpx.AsyncClient,
    connection: asyncpg.Connection,
    books: Sequence[Books],
) -> None:
    """Nothing that was answered is missing, and nothing is there that nobody asked for."""
    wallets = merged(books)
    for wallet in wallets:
        await _check_wallet(client, connection, wallet)
    await _check_made(
        await walk(client, "/v1/wallets", limit=_PAGE),
        {wallet.id for wallet in wallets},
        {tag for each in books for tag in each.perhaps_wallets},
    )
    await _check_made(
        await walk(client, "/v1/customers", limit=_PAGE),
        {customer_id for each in books for customer_id in each.customers},
        {tag for each in books for tag in each.perhaps_customers},
    )
    perhaps_topups = {tag for each in books for tag in each.perhaps_topups}
    for each in books:
        for wallet in each.wallets.values():
            await _check_topups(client, wallet, perhaps_topups)


async def _check_wallet(
    client: httpx.AsyncClient, connection: asyncpg.Connection, wallet: WalletBook
) -> None:
    moved = await walk(client, f"/v1/wallets/{wallet.id}/transactions", limit=_PAGE)
    found = [each for each in moved if each["type"] != "write_off"]
    counts = Counter(each["reference"] for each in found)
    amounts = wallet.movements | wallet.perhaps
    assert not wallet.movements.keys() - counts.keys(), f"lost from {wallet}"
    assert not counts.keys() - amounts.keys(), f"{wallet} does not know {counts}"
    assert max(counts.values(), default=1) == 1, f"doubled in {wallet}: {counts.most_common(3)}"
    for each in found:
        reference = each["reference"]
        assert _SIGNS[each["type"]] * each["amount"] == amounts[reference], (each, wallet)
        answered = wallet.answers.get(reference, {})
        assert answered.items() <= each.items(), (answered, each)
    balance = sum(_SIGNS[each["type"]] * each["amount"] for each in moved)
    seen = (await client.get(f"/v1/wallets/{wallet.id}")).json()
    assert seen["balance"] == balance, (seen, wallet)
    assert seen["status"] in {wallet.status, wallet.perhaps_status}, (seen, wallet)
    if not wallet.left_alone:
        assert seen["balance"] == wallet.balance, (seen, wallet)
    if seen["status"] == "closed":
        assert seen["balance"] == 0, seen
    else:
        assert found == moved, f"written off but not closed: {wallet}"
    logged = await wallet_at(connection, wallet.id)
    state = logged.state.wallet
    assert (state.balance, state.status) == (balance, seen["status"]), (logged, wallet)


async def _check_made(found: list[dict[str, Any]], known: set[str], perhaps: set[str]) -> None:
    """All that is known is there once, and of what may have been made each at most once."""
    counts = Counter(each["id"] for each in found)
    assert not known - counts.keys(), f"lost: {known - counts.keys()}"
    assert max(counts.values(), default=1) == 1, counts.most_common(3)
    others = Counter(each["metadata"].get("tag") for each in found if each["id"] not in known)
    assert not others.keys() - perhaps, f"nobody made {others}"
    assert max(others.values(), default=1) == 1, f"made twice: {others.most_common(3)}"


async def _check_topups(client: httpx.AsyncClient, wallet: WalletBook, perhaps: set[str]) -> None:
    found = await walk(client, f"/v1/wallets/{wallet.id}/topups", limit=_PAGE)
    statuses = {each["id"]: each["status"] for each in found}
    assert len(statuses) == len(found)
    assert wallet.topups.items() <= statuses.items(), (wallet, statuses)
    others = [each for each in found if each["id"] not in wallet.topups]
    tags = Counter(each["redirect_url"].partition("tag=")[2] for each in others)
    assert not tags.keys() - perhaps, f"nobody made {tags}"
    assert max(tags.values(), default=1) == 1, f"made twice: {tags}"
