"""Idempotency-Key: the first answer again, and one effect however often it is asked for.

The row that stands for the key is written before anything is done, and with it the id that all
that the request makes is named after. Whoever asks again, at the same time or after a crash, does
the same once more, which makes nothing new, until an answer has been kept.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from hmac import compare_digest
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from msgspec import Struct

from api.errors import (
    ConflictError,
    InvalidBodyError,
    InvalidParameterError,
    OutcomeUnknownError,
)
from api.json_objects import parse_object
from api.requests import Request
from api.secret_keys import SecretKeys
from api.services import Services
from engine.sql import load_queries
from projections.queries import reaching_database
from schemas.ids import Owner

PURPOSE: Final = "requests under an Idempotency-Key"
KEY_CHARACTERS_MAX: Final = 255
REPLAYED_HEADER: Final = "Idempotency-Replayed"
"""Stands in an answer that was kept, and given again."""

_HEADER: Final = "Idempotency-Key"
_PURGED_MAX: Final = 1000
_PURGES_MAX: Final = 20
_KEPT_BELOW: Final = 500
_TOO_MANY_REQUESTS: Final = 429

_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))


class Answer(Struct, frozen=True):
    """What is sent back; `body` is JSON."""

    status: int
    body: bytes
    headers: dict[str, str] = {}


def read_key(request: Request) -> str | None:
    """The request's key, if it has one; raises InvalidParameterError for one that can't be."""
    keys = request.all_of(_HEADER.lower().encode())
    if not keys:
        return None
    if len(keys) > 1:
        raise InvalidParameterError(_HEADER, "given once")
    key = keys[0].decode("latin-1")
    if not (key.isascii() and key.isprintable() and 0 < len(key) <= KEY_CHARACTERS_MAX):
        raise InvalidParameterError(
            _HEADER, f"1 to {KEY_CHARACTERS_MAX} printable ASCII characters"
        )
    return key


def request_text(method: str, path: str, query: bytes, body: bytes | None) -> bytes:
    """What a repeat is compared by; how the JSON of `body` is laid out makes no difference.

    `body` is None if it was too large to be read: two of those can't be told apart.
    """
    parts = [method.encode(), path.encode()]
    if body is None:
        parts += [b"", query, b"too large"]
    else:
        parts += [_canonical(body), query] if query else [_canonical(body)]
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)


def _canonical(body: bytes) -> bytes:
    try:
        return msgspec.json.encode(parse_object(body), order="sorted")
    except (InvalidBodyError, ValueError, OverflowError, RecursionError):
        # nobody can say what it means, so each byte of it counts
        return body


class IdempotencyKeys:
    """Answers under keys.

    Of a request only a digest is kept, by the newest of the server's keys: a body that tells of a
    person can't be guessed from it.
    """

    def __init__(self, rows: asyncpg.Pool, secret_keys: SecretKeys) -> None:
        self._rows = rows
        self._digest_keys = secret_keys.for_purpose(PURPOSE)

    async def answer(
        self,
        owner: Owner,
        key: str,
        request: bytes,
        effect_id: str,
        give: Callable[[str], Awaitable[Answer]],
    ) -> Answer:
        """The answer kept under the key, or what `give(effect_id)` gives, which is then kept.

        `request` is as `request_text` gives it. Raises ConflictError if the key stands for another
        one.
        """
        digest = self._digest_keys[0].sign(request)
        with reaching_database():
            claimed = await self._rows.fetchval(_QUERIES["claim"], *owner, key, digest, effect_id)
            if claimed is None:
                row = await self._rows.fetchrow(_QUERIES["claimed"], *owner, key)
                if row is None:
                    raise OutcomeUnknownError
                if not self._is_of(request, row["request"]):
                    raise ConflictError(
                        "idempotency_conflict",
                        "This Idempotency-Key stands for another request; use a new one.",
                    )
                if row["status"] is not None:
                    return _repeated(row)
                effect_id = row["effect_id"]
        answer = await give(effect_id)
        if answer.status >= _KEPT_BELOW or answer.status == _TOO_MANY_REQUESTS:
            return answer
        with reaching_database():
            row = await self._rows.fetchrow(
                _QUERIES["keep"], *owner, key, answer.status, answer.body
            )
        if row is None or (row["status"], row["body"]) == (answer.status, answer.body):
            return answer
        return _repeated(row)

    def _is_of(self, request: bytes, digest: bytes) -> bool:
        return any(compare_digest(key.sign(request), digest) for key in self._digest_keys)


async def forget_keys(services: Services) -> None:
    """Forget keys whose answers have been kept for long enough."""
    kept_for = timedelta(hours=services.settings.idempotency_hours)
    for _ in range(_PURGES_MAX):
        with reaching_database():
            deleted = await services.rows.execute(_QUERIES["forget"], kept_for, _PURGED_MAX)
        if deleted != f"DELETE {_PURGED_MAX}":
            return


def _repeated(row: asyncpg.Record) -> Answer:
    return Answer(row["status"], row["body"], {REPLAYED_HEADER: "true"})
