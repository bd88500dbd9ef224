"""Authentication: who is calling, from the Authorization header.

Credentials that are no good cost the same whatever is wrong with them: one query, and one hash by
each of the server's keys.
"""

import base64
import binascii
import re
from functools import partial
from hmac import compare_digest
from typing import Final

import asyncpg

from api.access.keys import PURPOSE, QUERIES
from api.access.verified import AGE_S_MAX, VerifiedCredentials
from api.calls import Principal
from api.errors import TokenInvalidError, TokenMalformedError
from api.secret_keys import SecretKeys
from projections.queries import reaching_database
from schemas.ids import Owner

_HEADER: Final = re.compile(r"(?:basic|bearer) +([A-Za-z0-9+/]{1,1000}={0,2})", re.IGNORECASE)
_CLIENT_ID: Final = re.compile(r"[0-9a-f]{12}")
_NOBODY: Final = "-"
"""The client id that is looked up for one that no key can have."""


class Authenticator:
    """Tells whose key a request comes with."""

    def __init__(
        self, rows: asyncpg.Pool, secret_keys: SecretKeys, verified: VerifiedCredentials
    ) -> None:
        self._rows = rows
        self._keys = secret_keys.for_purpose(PURPOSE)
        self._verified = verified

    async def authenticate(self, authorization: bytes | None) -> Principal:
        """Who is calling, by the Authorization header's value.

        Raises TokenMalformedError, TokenInvalidError, and ProjectionError as the pool does.
        """
        digest = self._verified.digest(authorization or b"")
        remembered = self._verified.find(digest)
        if remembered is not None:
            return remembered
        client_id, secret = _credentials(authorization)
        verify = partial(self._verify, client_id, secret, digest)
        return await self._verified.find_out(digest, verify)

    async def _verify(self, client_id: str, secret: bytes, digest: bytes) -> Principal:
        changes = self._verified.changes
        with reaching_database():
            rows = await self._rows.fetch(
                QUERIES["credential"], client_id if _CLIENT_ID.fullmatch(client_id) else _NOBODY
            )
        hashes = {key.name: key.sign(secret) for key in self._keys}
        for row in rows:
            if compare_digest(hashes.get(row["hash_key"], b""), row["hash"]):
                await self._hash_anew(client_id, row, hashes)
                principal = _principal(client_id, row)
                self._verified.remember(
                    digest, principal, good_for_s=_good_for_s(row), changes=changes
                )
                return principal
        raise TokenInvalidError

    async def _hash_anew(
        self, client_id: str, row: asyncpg.Record, hashes: dict[str, bytes]
    ) -> None:
        """So that the server's older keys can be taken away some day."""
        newest = self._keys[0].name
        if row["hash_key"] != newest:
            with reaching_database():
                await self._rows.execute(
                    QUERIES["replace_hash"], client_id, row["hash"], hashes[newest], newest
                )


def _credentials(header: bytes | None) -> tuple[str, bytes]:
    match = _HEADER.fullmatch((header or b"").decode("latin-1"))
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


def _principal(client_id: str, row: asyncpg.Record) -> Principal:
    return Principal(
        owner=Owner(row["merchant_id"], row["environment"]),
        client_id=client_id,
        scopes=frozenset(row["scopes"]),
        requests_per_second=row["requests_per_second"],
        allowed_networks=tuple(map(str, row["allowed_networks"])),
    )


def _good_for_s(row: asyncpg.Record) -> float:
    return AGE_S_MAX if row["good_for"] is None else row["good_for"].total_seconds()
