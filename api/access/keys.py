"""API keys: merchants, the keys that act for them, and their secrets.

A secret is shown once, when it is made; what is kept is a hash that can't be checked without one of
the server's own keys.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import asyncpg
from msgspec import Struct

from api.access.scopes import SCOPES, Scope
from api.secret_keys import SecretKeys
from engine.sql import load_queries
from schemas.ids import Environment

PURPOSE: Final = "api key secrets"
REQUESTS_PER_SECOND_DEFAULT: Final = 100
CHANNEL: Final = "wallet_keys"
"""Its payload is the client id of a key that was rolled or revoked."""

QUERIES: Final = load_queries(Path(__file__).with_suffix(".sql"))


class Merchant(Struct, frozen=True, kw_only=True):
    """A merchant; `keys` is how many of its keys may be used now."""

    merchant_id: str
    name: str
    currency: str
    created_at: datetime
    keys: int


class Key(Struct, frozen=True, kw_only=True):
    """A key, without its secret.

    `hash_keys` are names of the server's keys that are needed to check its secrets.
    """

    client_id: str
    merchant_id: str
    environment: Environment
    label: str
    scopes: list[Scope]
    allowed_networks: list[str]
    requests_per_second: int
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    status: Literal["active", "expired", "revoked"]
    hash_keys: list[str]


class NewKey(Struct, frozen=True, kw_only=True):
    """A key as it is shown once: 12 and 64 hexadecimal digits."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}(client_id={self.client_id!r})"


class RolledKey(NewKey, frozen=True, kw_only=True):
    """A key with another secret; the one before is good until `previous_until`."""

    previous_until: datetime


async def create_merchant(
    connection: asyncpg.Connection, name: str, currency: str, merchant_id: str | None = None
) -> str:
    """A new merchant, with an id of its own unless it brings one; gives the id."""
    merchant_id = merchant_id or f"mch_{secrets.token_hex(8)}"
    await connection.execute(QUERIES["insert_merchant"], merchant_id, name, currency)
    return merchant_id


async def list_merchants(connection: asyncpg.Connection) -> list[Merchant]:
    """Every merchant, the oldest first."""
    return [Merchant(**dict(row)) for row in await connection.fetch(QUERIES["merchants"])]


async def create_key(
    connection: asyncpg.Connection,
    secret_keys: SecretKeys,
    merchant_id: str,
    environment: Environment,
    *,
    label: str,
    scopes: Sequence[Scope] = SCOPES,
    allowed_networks: Sequence[str] = (),
    requests_per_second: int = REQUESTS_PER_SECOND_DEFAULT,
    expires_at: datetime | None = None,
) -> NewKey:
    """A new key of the merchant; `allowed_networks` in CIDR notation.

    Raises asyncpg.ForeignKeyViolationError if there is no such merchant.
    """
    key = NewKey(client_id=secrets.token_hex(6), client_secret=secrets.token_hex(32))
    async with connection.transaction():
        await connection.execute(
            QUERIES["insert_key"],
            key.client_id,
            merchant_id,
            environment,
            label,
            list(scopes),
            list(allowed_networks),
            requests_per_second,
            expires_at,
        )
        await _insert_secret(connection, secret_keys, key)
    return key


async def list_keys(connection: asyncpg.Connection, merchant_id: str) -> list[Key]:
    """Every key of the merchant, those that are not good any more included."""
    return await _fetch_keys(connection, merchant_id, None)


async def find_key(connection: asyncpg.Connection, client_id: str) -> Key | None:
    """The key of this client id."""
    keys = await _fetch_keys(connection, None, client_id)
    return keys[0] if keys else None


async def roll_key(
    connection: asyncpg.Connection,
    secret_keys: SecretKeys,
    client_id: str,
    overlap: timedelta,
) -> RolledKey | None:
    """The key with a new secret, beside which the one before stays good for `overlap`.

    None if there is no such key, or none that may be used now.
    """
    async with connection.transaction():
        if await connection.fetchrow(QUERIES["lock_usable"], client_id) is None:
            return None
        await connection.execute(QUERIES["delete_ended_secrets"], client_id)
        ends = await connection.fetch(QUERIES["end_secrets"], client_id, overlap)
        key = RolledKey(
            client_id=client_id,
            client_secret=secrets.token_hex(32),
            previous_until=max(row["expires_at"] for row in ends),
        )
        await _insert_secret(connection, secret_keys, key)
        await connection.execute(QUERIES["tell"], client_id)
    return key


async def revoke_key(connection: asyncpg.Connection, client_id: str) -> bool:
    """Make a key good for nothing from now on; False if there is none, or it was so before."""
    async with connection.transaction():
        revoked: bool = await connection.execute(QUERIES["revoke"], client_id) == "UPDATE 1"
        if revoked:
            await connection.execute(QUERIES["tell"], client_id)
    return revoked


async def _insert_secret(
    connection: asyncpg.Connection, secret_keys: SecretKeys, key: NewKey
) -> None:
    newest = secret_keys.for_purpose(PURPOSE)[0]
    await connection.execute(
        QUERIES["insert_secret"],
        key.client_id,
        newest.sign(key.client_secret.encode()),
        newest.name,
    )


async def _fetch_keys(
    connection: asyncpg.Connection, merchant_id: str | None, client_id: str | None
) -> list[Key]:
    rows = await connection.fetch(QUERIES["keys"], merchant_id, client_id)
    return [
        Key(**{**row, "allowed_networks": [str(network) for network in row["allowed_networks"]]})
        for row in rows
    ]
