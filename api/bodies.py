"""Bodies: what a caller sends, bounded, and read as a struct."""

import asyncio
from typing import Final, TypeVar

from litestar.exceptions import InternalServerException
from msgspec import Struct

from api.calls import NoBody
from api.errors import BodyTimeoutError, BodyTooLargeError, InvalidBodyError
from api.fields import read_fields
from api.json_objects import parse_object
from api.parameters import AnyRequest

BODY_BYTES_MAX: Final = 64 * 1024

Body = TypeVar("Body", bound=Struct)


async def read_bytes(request: AnyRequest, deadline: float) -> bytes:
    """The body as it was sent.

    Raises BodyTooLargeError as soon as it is known to be, BodyTimeoutError if it is not all there
    at the deadline, of the event loop's clock, and InvalidBodyError if it breaks off.
    """
    if _announced(request) > BODY_BYTES_MAX:
        raise BodyTooLargeError(BODY_BYTES_MAX)
    received = bytearray()
    try:
        async with asyncio.timeout_at(deadline):
            async for chunk in request.stream():
                received += chunk
                if len(received) > BODY_BYTES_MAX:
                    raise BodyTooLargeError(BODY_BYTES_MAX)
    except TimeoutError:
        raise BodyTimeoutError from None
    except InternalServerException:
        # how the framework says that the connection has gone, or that a chunk is malformed
        raise InvalidBodyError("The body ended before it was complete.") from None
    return bytes(received)


def decode_body(data: bytes, kind: type[Body], *, strict: bool) -> Body:
    """The body as `kind`; raises InvalidBodyError, naming the field that is wrong.

    Unknown fields are refused if `strict`, else passed over. Nothing at all will do for NoBody.
    """
    if not data and issubclass(kind, NoBody):
        return kind()
    return read_fields(parse_object(data), kind, strict=strict, escaped=b"\\u" in data)


def _announced(request: AnyRequest) -> int:
    length = request.headers.get("content-length", "")
    return int(length[:20]) if length.isascii() and length.isdecimal() else 0
