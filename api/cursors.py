"""Cursors: where a page of a list goes on, in the caller's hands and signed by us.

A cursor is good for the list that it came from, and for no other: not another owner's, not
another path, not with other filters. The limit may change from page to page.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hmac import compare_digest
from typing import Any, Final

import msgspec

from api.errors import InvalidParameterError
from api.parameters import LIMIT_DEFAULT, ListQuery, NoQuery, filters_of, invalid
from api.secret_keys import SecretKeys
from projections.pages import Anchor, PageRequest
from schemas.ids import Owner

PURPOSE: Final = "cursors"
_SIGNATURE_BYTES: Final = 16
_CHARACTERS_MAX: Final = 256


class Cursors:
    """Writes and reads cursors."""

    def __init__(self, secret_keys: SecretKeys) -> None:
        self._keys = secret_keys.for_purpose(PURPOSE)

    def write(self, origin: bytes, anchor: Anchor) -> str:
        """A cursor for the list that `origin_of` names."""
        payload = msgspec.msgpack.encode(anchor)
        return _to_text(self._keys[0].sign(origin + payload)[:_SIGNATURE_BYTES] + payload)

    def read(self, origin: bytes, text: str) -> Anchor:
        """What `write` was given; raises ValueError for anything that it did not write."""
        data = _to_bytes(text)
        signature, payload = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
        if not any(
            compare_digest(key.sign(origin + payload)[:_SIGNATURE_BYTES], signature)
            for key in self._keys
        ):
            raise ValueError("the cursor was not written here, or not for this list")
        return msgspec.msgpack.decode(payload, type=Anchor)

    def page_request(self, origin: Callable[[], bytes], query: NoQuery) -> PageRequest:
        """The page that is asked for; raises InvalidParameterError if the cursor is not good."""
        if not isinstance(query, ListQuery):
            return PageRequest(limit=LIMIT_DEFAULT)
        if query.cursor is not None:
            try:
                return PageRequest(limit=query.limit, anchor=self.read(origin(), query.cursor))
            except ValueError:
                raise invalid(type(query), "cursor") from None
        anchor = None if query.after is None else Anchor(item_id=query.after)
        return PageRequest(limit=query.limit, anchor=anchor)


def origin_of(operation: str, owner: Owner, path: dict[str, str], query: NoQuery) -> bytes:
    """Unambiguous bytes for the list that is asked for, whatever page of it."""
    named: list[Any] = [operation, *owner, sorted(path.items()), filters_of(query)]
    origin = msgspec.msgpack.encode(named)
    return len(origin).to_bytes(4) + origin


def anchor_missing(query: NoQuery) -> InvalidParameterError:
    """The refusal of the parameter that names an item which is not there."""
    by_cursor = isinstance(query, ListQuery) and query.cursor is not None
    return invalid(type(query), "cursor" if by_cursor else "after")


def _to_text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _to_bytes(text: str) -> bytes:
    if len(text) > _CHARACTERS_MAX:
        raise ValueError("too long for a cursor")
    try:
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64") from None
    # the decoder passes over what is none of its letters, and over bits that are left
    if _to_text(data) != text:
        raise ValueError("not as we write it")
    return data
