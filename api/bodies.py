"""Bodies: what a caller sends, bounded, and read as a struct."""

from typing import Final, TypeVar

from msgspec import Struct

from api.calls import NoBody
from api.errors import BodyTooLargeError, InvalidBodyError
from api.fields import read_fields
from api.json_objects import parse_object
from api.requests import Request

BODY_BYTES_MAX: Final = 64 * 1024

Body = TypeVar("Body", bound=Struct)


async def read_bytes(request: Request) -> bytes:
    """The body as it was sent.

    Raises BodyTooLargeError as soon as it is known to be, and InvalidBodyError if it breaks off.
    """
    announced = _announced(request)
    if announced is None:
        return await _read(request, BODY_BYTES_MAX + 1)
    if announced > BODY_BYTES_MAX:
        raise BodyTooLargeError(BODY_BYTES_MAX)
    # the server has to be asked once less where it is known how much there is
    return await _read(request, announced)


async def _read(request: Request, bytes_max: int) -> bytes:
    received = b""
    while len(received) < bytes_max:
        message = await request.receive()
        if message["type"] != "http.request":
            raise InvalidBodyError("The body ended before it was complete.")
        received += message["body"]
        if not message["more_body"]:
            break
    if len(received) > BODY_BYTES_MAX:
        raise BodyTooLargeError(BODY_BYTES_MAX)
    return received


def decode_body(data: bytes, kind: type[Body], *, strict: bool) -> Body:
    """The body as `kind`; raises InvalidBodyError, naming the field that is wrong.

    Unknown fields are refused if `strict`, else passed over. Nothing at all will do for NoBody.
    """
    if not data and issubclass(kind, NoBody):
        return kind()
    return read_fields(parse_object(data), kind, strict=strict, escaped=b"\\u" in data)


def _announced(request: Request) -> int | None:
    """How many bytes there are; None if only their end will tell."""
    if b"transfer-encoding" in request.headers:
        return None
    length = request.headers.get(b"content-length", b"0")
    return int(length[:20]) if length.isdigit() else None
