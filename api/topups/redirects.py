"""Redirects: where a customer is sent when a checkout ends."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit, urlunsplit

from msgspec import Meta

URL_CHARACTERS_MAX: Final = 2_048

_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PORT_MAX: Final = 65_535

# what one browser reads in one way and another in another is not taken: blanks, control
# characters, backslashes, other alphabets
_CHARACTERS: Final = re.compile(r"[!-\[\]-~]+")
_AUTHORITY: Final = re.compile(
    r"(?:\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)(?::[0-9]{1,5})?", re.IGNORECASE
)


def is_redirect(url: str) -> bool:
    """Whether customers can be sent there."""
    if len(url) > URL_CHARACTERS_MAX or _CHARACTERS.fullmatch(url) is None:
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if _AUTHORITY.fullmatch(parts.netloc) is None or (port or 0) > _PORT_MAX:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS)


RedirectUrl = Annotated[
    str,
    Meta(
        max_length=URL_CHARACTERS_MAX,
        extra_json_schema={"format": "uri"},
        extra={
            "requirement": "an absolute https URL (http only for localhost) of at most"
            f" {URL_CHARACTERS_MAX} ASCII characters, with no user name, blank or backslash in it",
            "accepts": is_redirect,
        },
    ),
]


def with_topup(url: str, topup_id: str) -> str:
    """The URL with the top-up's id at the end of its query; all else stays as it is."""
    parts = urlsplit(url)
    query = f"{parts.query}&" if parts.query else ""
    return urlunsplit(parts._replace(query=f"{query}topup_id={topup_id}"))
