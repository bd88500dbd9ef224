"""API keys: merchants, the keys that act for them, and their secrets.

A secret is shown once, when it is made; what is kept is a hash that can't be checked without one of
the server's own keys.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg
from msgspec import Struct

from api.access.scopes import SCOPES, Scope
from api.secret_keys import SecretKeys
from engine.sql import load_queries
from schemas.ids import Environment

PURPOSE: Final = "api key secrets"
REQUESTS_PER_SECOND_DEFAULT: Final = 100

_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))


class NewKey(Struct, frozen=True, kw_only=True):
    """A key as it is shown once: 12 and 64 hexadecimal digits."""

    client_id: str
    client_secret: str


async def create_merchant(
    connection: asyncpg.Connection, name: str, currency: str, merchant_id: str | None = None
) -> str:
    """A new merchant, with an id of its own unless it brings one; gives the id."""
    merchant_id = merchant_id or f"mch_{secrets.token_hex(8)}"
    await connection.execute(_QUERIES["insert_merchant"], merchant_id, name, currency)
    return merchant_id


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
    """A new key of the merchant."""
    key = NewKey(client_id=secrets.token_hex(6), client_secret=secrets.token_hex(32))
    newest = secret_keys.for_purpose(PURPOSE)[0]
    async with connection.transaction():
        await connection.execute(
            _QUERIES["insert_key"],
            key.client_id,
            merchant_id,
            environment,
            label,
            list(scopes),
            list(allowed_networks),
            requests_per_second,
            expires_at,
        )
        await connection.execute(
            _QUERIES["insert_secret"],
            key.client_id,
            newest.sign(key.client_secret.encode()),
            newest.name,
        )
    return key
