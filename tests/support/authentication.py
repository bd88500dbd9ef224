"""Authentication as one process of the API does it, with what it does counted."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from api.access.authentication import Authenticator
from api.access.verified import VerifiedCredentials
from api.calls import Principal
from api.errors import TokenInvalidError
from api.secret_keys import SecretKeys

MERCHANT = "mch_1"
OLD, NEW = "an-old-secret-key-that-only-tests-have", "a-new-secret-key-that-only-tests-have"


class HandClock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class CountedRows:
    """The pool, and the names of what it was asked for."""

    pool: asyncpg.Pool
    asked: list[str] = field(default_factory=list)

    async def fetch(self, query: str, *arguments: object) -> Any:
        self.asked.append("read")
        return await self.pool.fetch(query, *arguments)

    async def execute(self, query: str, *arguments: object) -> Any:
        self.asked.append("write")
        return await self.pool.execute(query, *arguments)


class ApiProcess:
    """Its server keys, what it has verified, and how often it asked the database."""

    def __init__(self, rows: asyncpg.Pool, *server_keys: str) -> None:
        self.clock = HandClock()
        self.verified = VerifiedCredentials(self.clock)
        self.rows = CountedRows(rows)
        self._authenticator = Authenticator(
            self.rows,  # type: ignore[arg-type]
            SecretKeys(server_keys or (OLD,)),
            self.verified,
        )

    async def admit(self, client_id: str, client_secret: str) -> Principal:
        token = b64encode(f"{client_id}:{client_secret}".encode()).decode()
        return await self._authenticator.authenticate(f"Basic {token}".encode())

    async def admits(self, client_id: str, client_secret: str) -> bool:
        try:
            await self.admit(client_id, client_secret)
        except TokenInvalidError:
            return False
        return True
