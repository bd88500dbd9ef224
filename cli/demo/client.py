"""A client of the demo's API, with a key of the merchant whose wallets it asks for."""

import asyncio
from base64 import b64encode
from typing import Final, Self
from urllib.request import Request

from asyncpg import Connection

from api.access.keys import create_key, create_merchant
from api.secret_keys import SecretKeys
from cli.errors import DemoFailedError
from cli.local_requests import open_local
from engine.settings import Settings
from schemas.ids import Owner

_TIMEOUT_S: Final = 10.0


class MerchantClient:
    """Asks the API. `credentials` is client id and secret, with a colon between."""

    def __init__(self, api_url: str, credentials: str) -> None:
        self.api_url = api_url
        self.credentials = credentials

    @classmethod
    async def of(
        cls, connection: Connection, settings: Settings, api_url: str, owner: Owner
    ) -> Self:
        """One with a new key, whose merchant is created for it."""
        await create_merchant(connection, "Demo", "GHS", owner.merchant_id)
        key = await create_key(connection, SecretKeys.of(settings), *owner, label="wallet demo")
        return cls(api_url, f"{key.client_id}:{key.client_secret}")

    async def get(self, path: str) -> bytes:
        """The body of the answer; raises DemoFailedError unless it is 200."""
        return await asyncio.to_thread(self._get, f"{self.api_url}{path}")

    def _get(self, url: str) -> bytes:
        token = b64encode(self.credentials.encode()).decode()
        request = Request(url, headers={"Authorization": f"Basic {token}"})  # noqa: S310
        try:
            with open_local(request, timeout=_TIMEOUT_S) as answer:
                body: bytes = answer.read()
                return body
        except OSError as error:
            raise DemoFailedError(f"the API did not answer {url}: {error}") from error
