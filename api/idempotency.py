"""Idempotency-Key: the first answer again, and one effect however often it is asked for.

The row that stands for the key is written before anything is done, and with it the id that all
that the request makes is named after. Whoever asks again, at the same time or after a crash, does
the same once more, which makes nothing new, until an answer has been kept.
"""

from collections.abc import Awaitable, Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final

import asyncpg
from msgspec import Struct

from api.errors import ConflictError, InvalidBodyError
from engine.sql import load_queries
from projections.queries import reaching_database
from schemas.ids import Owner

KEY_CHARACTERS_MAX: Final = 255
_KEPT_BELOW: Final = 500
_TOO_MANY_REQUESTS: Final = 429

_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))


class Answer(Struct, frozen=True):
    """What is sent back; `body` is JSON."""

    status: int
    body: bytes
    headers: dict[str, str] = {}


def request_digest(method: str, path: str, body: bytes) -> bytes:
    """What a repeat is compared with."""
    parts = (method.encode(), path.encode(), body)
    framed = b"".join(b"%d:%b" % (len(part), part) for part in parts)
    return blake2b(framed, digest_size=16, person=b"wallet.request").digest()


class IdempotencyKeys:
    """Answers under keys."""

    def __init__(self, rows: asyncpg.Pool) -> None:
        self._rows = rows

    async def answer(
        self,
        owner: Owner,
        key: str,
        request: bytes,
        effect_id: str,
        give: Callable[[str], Awaitable[Answer]],
    ) -> Answer:
        """The answer kept under the key, or what `give(effect_id)` gives, which is then kept.

        Raises ConflictError if the key stands for another request.
        """
        if not 0 < len(key) <= KEY_CHARACTERS_MAX or not key.isprintable():
            raise InvalidBodyError(
                f"Idempotency-Key must be 1 to {KEY_CHARACTERS_MAX} printable characters."
            )
        with reaching_database():
            claimed = await self._rows.fetchval(_QUERIES["claim"], *owner, key, request, effect_id)
            if claimed is None:
                (row,) = await self._rows.fetch(_QUERIES["claimed"], *owner, key)
                if row["request"] != request:
                    raise ConflictError(
                        "idempotency_conflict",
                        "This Idempotency-Key stands for another request; use a new one.",
                    )
                if row["status"] is not None:
                    return Answer(row["status"], row["body"])
                effect_id = row["effect_id"]
        answer = await give(effect_id)
        if answer.status >= _KEPT_BELOW or answer.status == _TOO_MANY_REQUESTS:
            return answer
        with reaching_database():
            (row,) = await self._rows.fetch(
                _QUERIES["keep"], *owner, key, answer.status, answer.body
            )
        return Answer(row["status"], row["body"], answer.headers)
