"""Authentication: who is calling, from the Authorization header."""

import base64
import binascii
import re
from hmac import compare_digest
from pathlib import Path
from typing import Final

import asyncpg

from api.access.keys import PURPOSE
from api.calls import Principal
from api.errors import TokenInvalidError, TokenMalformedError
from api.parameters import AnyRequest
from api.secret_keys import SecretKeys
from engine.sql import load_queries
from projections.queries import reaching_database
from schemas.ids import Owner

_QUERIES = load_queries(Path(__file__).with_name("keys.sql"))
_HEADER: Final = re.compile(r"(?:basic|bearer) +([A-Za-z0-9+/_-]+={0,2})", re.IGNORECASE)


class Authenticator:
    """Tells whose key a request comes with."""

    def __init__(self, rows: asyncpg.Pool, secret_keys: SecretKeys) -> None:
        self._rows = rows
        self._keys = {key.name: key for key in secret_keys.for_purpose(PURPOSE)}

    async def authenticate(self, request: AnyRequest) -> Principal:
        """Raises UnauthorizedError or ForbiddenError."""
        client_id, secret = _credentials(request.headers.get("authorization"))
        with reaching_database():
            rows = await self._rows.fetch(_QUERIES["credential"], client_id)
        for row in rows:
            key = self._keys.get(row["hash_key"])
            if key is not None and compare_digest(key.sign(secret), row["hash"]):
                return Principal(
                    owner=Owner(row["merchant_id"], row["environment"]),
                    client_id=client_id,
                    scopes=frozenset(row["scopes"]),
                    requests_per_second=row["requests_per_second"],
                    allowed_networks=tuple(map(str, row["allowed_networks"])),
                )
        raise TokenInvalidError


def _credentials(header: str | None) -> tuple[str, bytes]:
    match = _HEADER.fullmatch(header or "")
    if match is None:
        raise TokenMalformedError
    try:
        text = base64.b64decode(match[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise TokenMalformedError from None
    client_id, colon, secret = text.partition(":")
    if not (client_id and colon and secret):
        raise TokenMalformedError
    return client_id, secret.encode()
