"""Clients of the API that keep their own books: what they sent, what they were told, what must be.

Each client is one line of events, and its wallets are its own, so it knows every answer before it
comes. What it gives up on has had one effect or none: it leaves that wallet alone, and notes what
the difference would be. Shared wallets are moved by all, so of those it knows the sums alone.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from itertools import count
from random import Random
from typing import Any

from bench.connection import Response
from tests.support.http_books import Books, WalletBook
from tests.support.http_caller import Caller, Request, assert_same, json

REDIRECT_URL = "https://shop.example/paid"
_OWN_WALLETS_MAX = 6
_PAY_FORM = re.compile(r'action="([^"]+/pay)"')
_SEES_S = 0.2
_PAID_S_MAX = 90


class Client:
    """One of many that call at the same time, as many requests as it is told to make."""

    def __init__(
        self, name: str, version: str, caller: Caller, rng: Random, shared: list[str]
    ) -> None:
        self.name = name
        self.books = Books(shared={each: WalletBook(each, "") for each in shared})
        self._version = version
        self._caller = caller
        self._rng = rng
        self._numbers = count()
        self._requests = 0

    async def run(self, requests: int) -> None:
        """Make at least so many requests, each answered or given up on."""
        await self.run_while(lambda: self._requests < requests)

    async def run_while(self, goes_on: Callable[[], bool]) -> None:
        """Make one request after the other, each answered or given up on."""
        steps: dict[Callable[[], Awaitable[None]], int] = {
            self._debit: 32,
            self._credit: 15,
            self._move_shared: 16,
            self._read_wallet: 10,
            self._read_transactions: 8,
            self._make_wallet: 4,
            self._change_status: 4,
            self._top_up: 5,
            self._make_customer: 3,
            self._change_customer: 3,
            self._close: 1,
            self._delete_customer: 1,
        }
        try:
            await self._make_customer()
            while goes_on():
                (step,) = self._rng.choices([*steps], [*steps.values()])
                await step()
        finally:
            self._caller.close()

    # --- sending

    async def _write(self, request: Request, *, may_give_up: bool = True) -> Response | None:
        """The answer to a write, however that came about; None if it was given up on."""
        self._requests += 1
        chance = self._rng.random()
        if chance < 0.02:
            await self._caller.hang_up(request)
        if chance > 0.97:
            return await self._caller.twice(request)
        gives_up = may_give_up and self._rng.random() < 0.3
        tries_max = self._rng.randint(1, 2) if gives_up else None
        response = await self._caller.send(request, tries_max=tries_max)
        if response is not None and self._rng.random() < 0.05:
            assert_same(request, response, await self._caller.answer(request))
        return response

    async def _read(self, path: str) -> Any:
        self._requests += 1
        request = Request("GET", f"/{self._version}{path}")
        response = await self._caller.answer(request)
        assert response.status == 200, self._told(request, response)
        return json(response)

    def _post(self, path: str, body: Any = None, key: str | None = None) -> Request:
        return Request("POST", f"/{self._version}{path}", body, key)

    def _tag(self, kind: str) -> str:
        return f"{self.name}_{kind}_{next(self._numbers)}"

    def _told(self, request: Request, response: Response, *more: object) -> str:
        return f"client {self.name}: {request}\nanswered {response}\n{more}"

    def _own_wallet(self) -> WalletBook | None:
        usable = [wallet for wallet in self.books.wallets.values() if not wallet.left_alone]
        return self._rng.choice(usable) if usable else None

    # --- customers

    async def _make_customer(self) -> None:
        tag = self._tag("cus")
        body = {"email": f"{tag}@example.com", "name": tag, "metadata": {"tag": tag}}
        request = self._post("/customers", body, tag)
        response = await self._write(request)
        if response is None:
            self.books.perhaps_customers.add(tag)
            return
        assert response.status == 201, self._told(request, response)
        made = json(response)
        assert made["email"] == body["email"], self._told(request, response)
        assert made["id"] not in self.books.customers
        self.books.customers[made["id"]] = {"name": tag, "tag": tag}
        if self._rng.random() < 0.5:
            await self._read_customer(made["id"])

    async def _change_customer(self) -> None:
        if not self.books.customers:
            return
        customer_id = self._rng.choice([*self.books.customers])
        tag = self._tag("name")
        request = Request("PATCH", f"/{self._version}/customers/{customer_id}", {"name": tag})
        response = await self._write(request, may_give_up=False)
        assert response is not None
        assert response.status == 200, self._told(request, response)
        self.books.customers[customer_id]["name"] = tag
        await self._read_customer(customer_id)

    async def _read_customer(self, customer_id: str) -> None:
        seen = await self._read(f"/customers/{customer_id}")
        assert seen["name"] == self.books.customers[customer_id]["name"], seen

    async def _delete_customer(self) -> None:
        wallets = self.books.wallets.values()
        needed = {wallet.customer_id for wallet in wallets if wallet.status != "closed"}
        idle = [each for each in self.books.customers if each not in needed]
        # a wallet that may have been made is in the way, too
        if len(self.books.customers) < 3 or not idle or self.books.perhaps_wallets:
            return
        customer_id = self._rng.choice(idle)
        request = Request("DELETE", f"/{self._version}/customers/{customer_id}")
        self._requests += 1
        response = await self._caller.answer(request)
        # 404 after a try whose answer was lost
        assert response.status in (200, 404), self._told(request, response)
        del self.books.customers[customer_id]
        self.books.deleted_customers.add(customer_id)
        self._requests += 1
        gone = await self._caller.answer(
            Request("GET", f"/{self._version}/customers/{customer_id}")
        )
        assert gone.status == 404, self._told(request, gone)

    # --- wallets

    async def _make_wallet(self) -> None:
        alive = [wallet for wallet in self.books.wallets.values() if not wallet.left_alone]
        if len(alive) >= _OWN_WALLETS_MAX or not self.books.customers:
            return
        tag = self._tag("wal")
        customer_id = self._rng.choice([*self.books.customers])
        body = {"customer_id": customer_id, "currency": "GHS", "metadata": {"tag": tag}}
        request = self._post("/wallets", body, tag)
        response = await self._write(request)
        if response is None:
            self.books.perhaps_wallets.add(tag)
            return
        assert response.status == 201, self._told(request, response)
        made = json(response)
        assert (made["balance"], made["status"]) == (0, "active"), self._told(request, response)
        assert made["id"] not in self.books.wallets, self._told(request, response)
        wallet = self.books.wallets[made["id"]] = WalletBook(made["id"], customer_id)
        await self._check(wallet)
        listed = await self._read(f"/wallets?customer_id={customer_id}")
        assert wallet.id in {each["id"] for each in listed["data"]}, (wallet, listed)

    async def _check(self, wallet: WalletBook) -> None:
        """What was written before is there to be read."""
        seen = await self._read(f"/wallets/{wallet.id}")
        assert (seen["balance"], seen["status"]) == (wallet.balance, wallet.status), (
            f"client {self.name}: {seen}\nis not {wallet}"
        )

    async def _read_wallet(self) -> None:
        wallet = self._own_wallet()
        if wallet is not None:
            await self._check(wallet)

    async def _read_transactions(self) -> None:
        wallet = self._own_wallet()
        if wallet is None:
            return
        seen = await self._read(f"/wallets/{wallet.id}/transactions?limit=10")
        references = [each["reference"] for each in seen["data"]]
        assert references == [*wallet.movements][::-1][:10], (wallet, seen)

    async def _debit(self) -> None:
        wallet = self._own_wallet()
        if wallet is not None:
            too_much = self._rng.random() < 0.1
            least = wallet.balance + 1 if too_much else 1
            amount = self._rng.randint(least, least + 400)
            refused = wallet.status == "frozen" or amount > wallet.balance
            await self._move(wallet, "debit", amount, refused=refused)

    async def _credit(self) -> None:
        wallet = self._own_wallet()
        if wallet is not None:
            await self._move(wallet, "credit", self._rng.randint(500, 3_000), refused=False)

    async def _move(self, wallet: WalletBook, kind: str, amount: int, *, refused: bool) -> None:
        signed = -amount if kind == "debit" else amount
        reference, request = self._movement(wallet.id, kind, amount)
        response = await self._write(request)
        if response is None:
            if not refused:
                wallet.perhaps[reference] = signed
            return
        answer = json(response)
        if refused:
            assert response.status == 409, self._told(request, response, wallet)
            wallet.refused.add(reference)
        else:
            assert response.status == 200, self._told(request, response, wallet)
            told = (answer["balance_before"], answer["balance_after"], answer["reference"])
            wanted = (wallet.balance, wallet.balance + signed, reference)
            assert told == wanted, self._told(request, response, wallet)
            wallet.moved(reference, signed, answer)
        if self._rng.random() < 0.2:
            await self._check(wallet)

    def _movement(self, wallet_id: str, kind: str, amount: int) -> tuple[str, Request]:
        reference = self._tag(kind)
        body = {"amount": amount, "description": kind, "reference": reference}
        return reference, self._post(f"/wallets/{wallet_id}/{kind}", body)

    async def _move_shared(self) -> None:
        wallet = self._rng.choice([*self.books.shared.values()])
        kind = self._rng.choice(["debit", "debit", "credit"])
        amount = self._rng.randint(1, 900)
        signed = -amount if kind == "debit" else amount
        reference, request = self._movement(wallet.id, kind, amount)
        response = await self._write(request)
        if response is None:
            wallet.perhaps[reference] = signed
            return
        answer = json(response)
        assert response.status == 200, self._told(request, response)
        assert answer["balance_after"] - answer["balance_before"] == signed, answer
        wallet.moved(reference, signed, answer)
        if self._rng.random() < 0.2:
            path = f"/wallets/{wallet.id}/transactions?reference={reference}"
            seen = await self._read(path)
            assert [each["id"] for each in seen["data"]] == [answer["id"]], (answer, seen)

    async def _change_status(self) -> None:
        wallet = self._own_wallet()
        if wallet is None:
            return
        action, status = (
            ("freeze", "frozen") if wallet.status == "active" else ("unfreeze", "active")
        )
        await self._set_status(wallet, action, status)

    async def _close(self) -> None:
        wallet = self._own_wallet()
        if wallet is not None and len(self.books.wallets) > 1:
            await self._set_status(wallet, "close", "closed")

    async def _set_status(self, wallet: WalletBook, action: str, status: str) -> None:
        request = self._post(f"/wallets/{wallet.id}/{action}", key=self._tag(action))
        response = await self._write(request)
        if response is None:
            wallet.perhaps_status = status
            return
        assert response.status == 200, self._told(request, response, wallet)
        wallet.status = status
        if status == "closed":
            wallet.balance = 0
        answer = json(response)
        told = (answer["status"], answer["balance"])
        assert told == (status, wallet.balance), self._told(request, response, wallet)
        await self._check(wallet)

    # --- top-ups

    async def _top_up(self) -> None:
        wallet = self._own_wallet()
        if wallet is None:
            return
        amount = self._rng.randint(1_000, 5_000)
        tag = self._tag("top")
        body = {"amount": amount, "redirect_url": f"{REDIRECT_URL}?tag={tag}"}
        request = self._post(f"/wallets/{wallet.id}/topups", body, tag)
        response = await self._write(request)
        if response is None:
            self.books.perhaps_topups.add(tag)
            return
        assert response.status == 201, self._told(request, response)
        made = json(response)
        assert (made["status"], made["amount"]) == ("pending", amount), made
        wallet.topups[made["id"]] = "pending"
        if self._rng.random() < 0.8:
            path = "/checkout/" + made["checkout_url"].partition("/checkout/")[2]
            await self._pay(path, f"{REDIRECT_URL}?tag={tag}&topup_id={made['id']}")
            wallet.topups[made["id"]] = "succeeded"
            wallet.moved(made["id"], amount)
        seen = await self._read(f"/wallets/{wallet.id}/topups")
        (found,) = [each for each in seen["data"] if each["id"] == made["id"]]
        assert found["status"] == wallet.topups[made["id"]], (found, wallet)
        await self._check(wallet)

    async def _pay(self, path: str, paid_url: str) -> None:
        """As a browser, whose owner presses as long as there is a button, at times twice."""
        deadline = time.monotonic() + _PAID_S_MAX
        while time.monotonic() < deadline:
            page = await self._browse(Request("GET", path, signed=False))
            if page.status == 303:
                assert page.header("location") == paid_url, page
                return
            assert page.status == 200, page
            form = _PAY_FORM.search(page.body.decode())
            if form is None:  # it is being processed, and looks again by itself
                await asyncio.sleep(_SEES_S)
                continue
            press = Request("POST", form[1], signed=False)
            # once each: after a broken answer a browser shows an error, and its owner looks again
            presses = [
                self._caller.send(press, tries_max=1) for _ in range(self._rng.choice([1, 1, 2]))
            ]
            self._requests += len(presses)
            for answer in await asyncio.gather(*presses):
                assert answer is None or answer.status == 303, answer
        raise AssertionError(f"client {self.name}: nobody has ended the payment of {path}")

    async def _browse(self, request: Request) -> Response:
        self._requests += 1
        return await self._caller.answer(request)
