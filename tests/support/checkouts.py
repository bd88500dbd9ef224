"""Wallets with top-ups to pay, what is in their rows, and what the log says of them."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer

from engine.kafka import client_options
from schemas.commands import AnyCommand, Close, CreateWallet, Freeze, encode_command
from schemas.ids import Owner
from tests.support.databases import connection_to
from tests.support.wallet_service import SANDBOX, WalletService

REDIRECT_URL = "https://shop.example/paid?order=7&tag=a%20b#top"
CANCEL_URL = "https://shop.example/basket"
_DEADLINE_S = 60


@dataclass(frozen=True)
class Checkouts:
    """`browser` presses buttons as a customer does, but follows no redirect."""

    service: WalletService
    browser: httpx.AsyncClient
    producer: AIOKafkaProducer

    @classmethod
    @asynccontextmanager
    async def of(cls, service: WalletService) -> AsyncIterator["Checkouts"]:
        producer = AIOKafkaProducer(**client_options(service.settings), acks="all")
        await producer.start()
        try:
            async with httpx.AsyncClient(timeout=30, follow_redirects=False) as browser:
                yield cls(service, browser, producer)
        finally:
            await producer.stop()

    async def send(self, command: AnyCommand) -> None:
        """Hand a command to Kafka, and wait for nothing more."""
        await self.producer.send_and_wait(
            self.service.settings.commands_topic,
            encode_command(command),
            key=command.wallet_id.encode(),
        )

    async def wallet(self, *, owner: Owner = SANDBOX, status: str = "active") -> str:
        """The id of a new wallet, once everybody sees it in this status."""
        wallet_id = f"wal_{secrets.token_hex(8)}"
        await self.send(
            CreateWallet(
                wallet_id=wallet_id,
                reference="open",
                merchant_id=owner.merchant_id,
                environment=owner.environment,
                customer_id="cus_1",
                currency="GHS",
            )
        )
        if status == "frozen":
            await self.send(Freeze(wallet_id=wallet_id, reference="freeze"))
        if status == "closed":
            await self.close(wallet_id)
        await self.until("SELECT status FROM wallets WHERE wallet_id = $1", wallet_id, status)
        return wallet_id

    async def close(self, wallet_id: str) -> None:
        await self.send(Close(wallet_id=wallet_id, reference="close"))
        await self.until("SELECT status FROM wallets WHERE wallet_id = $1", wallet_id, "closed")

    async def open(self, **changes: Any) -> dict[str, Any]:
        """A new top-up of GHS 50.00 as the API answers with it, of a new wallet."""
        wallet_id = changes.pop("wallet_id", None) or await self.wallet()
        client = changes.pop("client", self.service.client)
        body = {"amount": 5000, "redirect_url": REDIRECT_URL, "cancel_url": CANCEL_URL} | changes
        answer = await client.post(f"/v1/wallets/{wallet_id}/topups", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def press(self, topup: dict[str, Any], button: str) -> httpx.Response:
        """Press `pay` or `cancel` on the top-up's page."""
        return await self.browser.post(f"{topup['checkout_url']}/{button}")

    async def shown(self, topup: dict[str, Any], client: httpx.AsyncClient | None = None) -> str:
        """The status that the API shows."""
        answer = await (client or self.service.client).get(
            f"/v1/wallets/{topup['wallet_id']}/topups"
        )
        assert answer.status_code == 200, answer.text
        (status,) = [each["status"] for each in answer.json()["data"] if each["id"] == topup["id"]]
        return str(status)

    async def stored(self, topup: dict[str, Any]) -> str:
        """The status in the row."""
        status = await self.fetchval("SELECT status FROM topups WHERE topup_id = $1", topup["id"])
        return str(status)

    async def leave_paying(self, topup: dict[str, Any], *, silent_s: int = 3600) -> None:
        """As a process leaves it that died, so long ago, right after somebody had pressed Pay."""
        await self.fetchval(
            "UPDATE topups SET status = 'paying', attempts = 1,"
            " attempted_at = clock_timestamp() - make_interval(secs => $2) WHERE topup_id = $1",
            topup["id"],
            silent_s,
        )

    async def topped_up(self, wallet_id: str) -> list[str]:
        """The references of the wallet's top-ups in the log."""
        rows = await self._fetch(
            "SELECT convert_from(data, 'UTF8')::jsonb #>> '{event,reference}' AS reference"
            "  FROM log WHERE wallet_id = $1 AND type = 'topped_up'",
            wallet_id,
        )
        return [row["reference"] for row in rows]

    async def expires_at(self, topup: dict[str, Any]) -> datetime:
        found = await self.fetchval(
            "SELECT expires_at FROM topups WHERE topup_id = $1", topup["id"]
        )
        assert isinstance(found, datetime)
        return found

    async def until(self, query: str, argument: object, value: object) -> None:
        """Return as soon as the query gives the value."""
        deadline = time.monotonic() + _DEADLINE_S
        while (found := await self.fetchval(query, argument)) != value:
            assert time.monotonic() < deadline, f"still {found!r}, not {value!r}"
            await asyncio.sleep(0.02)

    async def until_stored(self, topup: dict[str, Any], status: str) -> None:
        await self.until("SELECT status FROM topups WHERE topup_id = $1", topup["id"], status)

    async def fetchval(self, query: str, *arguments: object) -> object:
        rows = await self._fetch(query, *arguments)
        return rows[0][0] if rows else None

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        async with connection_to(self.service.settings.database_url) as connection:
            return await connection.fetch(query, *arguments)
