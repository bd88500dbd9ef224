"""Bytes as base64 with its padding (RFC 4648), as signed notes and bundles write them."""

from base64 import b64decode, b64encode


def to_base64(data: bytes) -> str:
    """The text of these bytes."""
    return b64encode(data).decode()


def from_base64(text: str) -> bytes:
    """The bytes of such a text; none for any other text."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""
