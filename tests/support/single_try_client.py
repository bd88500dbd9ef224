"""A client that knows one address and tries nothing twice: whatever goes wrong is an error."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from typing import Any

import msgspec

from bench.connection import Connection, Response, connect
from tests.support.http_caller import Request

_ANSWER_S_MAX = 25
_PAUSE_S_MAX = 0.05
_KINDS = ("debit", "credit", "read", "list")
_AMOUNT_MAX = 1_000


@dataclass
class Account:
    """What all clients together have met with."""

    answers: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    told_to_close: int = 0


class SingleTryClient:
    """Debits, credits and reads a wallet of its own, whose balance it knows.

    It keeps its connection for as long as it may, or opens one for each request.
    """

    def __init__(
        self,
        port: int,
        authorization: str,
        wallet_id: str,
        balance: int,
        rng: Random,
        account: Account,
        *,
        keeps_alive: bool,
    ) -> None:
        self.wallet_id = wallet_id
        self.balance = balance
        self.movements: dict[str, int] = {}
        self._port = port
        self._authorization = authorization
        self._rng = rng
        self._account = account
        self._keeps_alive = keeps_alive
        self._connection: Connection | None = None

    async def run_while(self, going_on: Callable[[], bool]) -> None:
        """One request after the other."""
        try:
            while going_on():
                await self._step(self._rng.choice(_KINDS))
                await asyncio.sleep(self._rng.uniform(0, _PAUSE_S_MAX))
        finally:
            self._hang_up()

    async def _step(self, kind: str) -> None:
        answer = await self._send(self._request(kind))
        if answer is None:
            return
        self._account.answers[kind] += 1
        if kind == "read":
            balance = msgspec.json.decode(answer.body)["balance"]
            if balance != self.balance:
                self._account.errors.append(f"{self.wallet_id}: {balance}, not {self.balance}")

    def _request(self, kind: str) -> Request:
        path = f"/v1/wallets/{self.wallet_id}"
        if kind == "read":
            return Request("GET", path)
        if kind == "list":
            return Request("GET", f"{path}/transactions?limit=5")
        amount = self._rng.randrange(1, _AMOUNT_MAX)
        moved = amount if kind == "credit" else -amount
        reference = f"r{len(self.movements)}"
        self.movements[reference] = moved
        self.balance += moved
        body = {"amount": amount, "description": kind, "reference": reference}
        return Request("POST", f"{path}/{kind}", body)

    async def _send(self, request: Request) -> Response | None:
        try:
            async with asyncio.timeout(_ANSWER_S_MAX):
                if self._connection is None:
                    self._connection = await connect("127.0.0.1", self._port)
                answer = await self._connection.request(request.encoded(self._authorization))
        except OSError as error:  # a TimeoutError among them
            self._account.errors.append(f"{request.method} {request.path}: {error!r}")
            self._hang_up()
            return None
        told_to_close = answer.header("connection") == "close"
        self._account.told_to_close += told_to_close
        if told_to_close or not self._keeps_alive:
            self._hang_up()
        if answer.status == HTTPStatus.OK:
            return answer
        self._account.errors.append(f"{request.method} {request.path}: {answer}")
        return None

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def movements_of(transactions: list[dict[str, Any]]) -> dict[str, int]:
    """By reference, out of a wallet negative; each reference is there once."""
    found = {
        each["reference"]: each["amount"] if each["type"] == "credit" else -each["amount"]
        for each in transactions
    }
    assert len(found) == len(transactions), "a reference is there twice"
    return found
