"""Query parameters: what each list and each resource takes, and how they are read.

A parameter's last description says what it has to be: the sentence that refuses it ends with it,
and the contract shows it. One that stands twice is refused, one that nobody knows only if strict.
"""

from collections import Counter
from functools import cache
from typing import Annotated, Any, TypeVar, get_type_hints
from urllib.parse import parse_qsl

import litestar
import msgspec
from msgspec import Meta, Struct

from api.errors import InvalidParameterError, UnknownParameterError
from api.fields import fields_of
from api.requests import Request
from projections.waiting import Place
from schemas.ids import CustomerId, WalletId
from schemas.money import Currency, is_currency
from schemas.resources import TransactionType, WalletStatus

AnyRequest = litestar.Request[Any, Any, Any]

LIMIT_DEFAULT = 20
LIMIT_MAX = 100

_NOT_NUL = "^[^\\x00]+$(?!\n)"
_PAGING = frozenset({"limit", "after", "cursor"})
_WAITING = frozenset({"wait_for"})

Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description=f"an integer from 1 to {LIMIT_MAX}")]
After = Annotated[str | None, Meta(description="the id of the last item of the page before")]
Cursor = Annotated[
    str | None, Meta(description="a next_cursor or prev_cursor of this list with these filters")
]
WaitFor = Annotated[str | None, Meta(description="<partition>:<offset> of a command")]
ReferenceFilter = Annotated[str, Meta(max_length=255, pattern=_NOT_NUL)]


class NoQuery(Struct, frozen=True, kw_only=True):
    """No parameters."""


class ReadQuery(NoQuery, frozen=True, kw_only=True):
    """What a read from the read models takes."""

    wait_for: WaitFor = None


class ListQuery(NoQuery, frozen=True, kw_only=True):
    """What every list takes. A version has `after` or `cursor`, never both."""

    limit: Limit = LIMIT_DEFAULT
    after: After = None
    cursor: Cursor = None


class ReadListQuery(ListQuery, frozen=True, kw_only=True):
    """What a list from the read models takes."""

    wait_for: WaitFor = None


class WalletListQuery(ReadListQuery, frozen=True, kw_only=True):
    after: Annotated[
        WalletId | None, Meta(description="the id of the last item of the page before")
    ] = None
    customer_id: Annotated[CustomerId | None, Meta(description="the id of a customer")] = None
    currency: Annotated[Currency | None, Meta(description="an ISO 4217 currency code")] = None
    status: Annotated[WalletStatus | None, Meta(description="active, frozen or closed")] = None

    def __post_init__(self) -> None:
        if self.currency is not None and not is_currency(self.currency):
            raise invalid(type(self), "currency")


class TransactionListQuery(ReadListQuery, frozen=True, kw_only=True):
    type: Annotated[
        TransactionType | None, Meta(description="topup, debit, credit, expiry or write_off")
    ] = None
    reference: Annotated[ReferenceFilter | None, Meta(description="1 to 255 characters")] = None


Query = TypeVar("Query", bound=NoQuery)


@cache
def requirements(kind: type[NoQuery]) -> dict[str, str]:
    """What each parameter has to be, as in the sentence that refuses it."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.name: str(hints[field.name].__metadata__[-1].description)
        for field in fields_of(kind)
    }


def invalid(kind: type[NoQuery], name: str) -> InvalidParameterError:
    """The refusal of the parameter `name`."""
    return InvalidParameterError(name, requirements(kind)[name])


def place_of(query: NoQuery) -> Place | None:
    """The command to wait for; raises InvalidParameterError if that is no place."""
    text: str | None = getattr(query, "wait_for", None)
    if text is None:
        return None
    try:
        return Place.parse(text)
    except ValueError:
        raise invalid(type(query), "wait_for") from None


def filters_of(query: NoQuery) -> dict[str, Any]:
    """What makes it another list, not another page or another moment of the same one."""
    return {
        name: getattr(query, name)
        for name in sorted(requirements(type(query)))
        if name not in _PAGING | _WAITING
    }


def read_query(
    request: Request, kind: type[Query], *, hidden: frozenset[str], strict: bool
) -> Query:
    """The request's parameters; raises InvalidParameterError for the first bad one.

    Those `hidden` are as unknown as any other, and what is unknown is refused if `strict`.
    """
    if not request.scope["query_string"]:
        return kind()
    text = request.scope["query_string"].decode("utf-8", "replace")
    pairs = parse_qsl(text, keep_blank_values=True)
    known = [name for name in requirements(kind) if name not in hidden]
    counts = Counter(name for name, _ in pairs)
    if strict:
        for name in counts:
            if name not in known:
                raise UnknownParameterError(name, known)
    given = dict(pairs)
    values: dict[str, Any] = {}
    for field in fields_of(kind):
        if field.name not in known:
            continue
        if counts[field.name] > 1:
            raise InvalidParameterError(field.name, "given once")
        if field.name in given:
            values[field.name] = _value(kind, field.name, given[field.name], field.type)
    return kind(**values)


def _value(kind: type[NoQuery], name: str, text: str, wanted: object) -> object:
    try:
        value: object = msgspec.convert(text, wanted, strict=False)
    except msgspec.ValidationError:
        raise invalid(kind, name) from None
    # 1e1, 5.0 and, for what may be absent, null are read as something else than they say
    if str(value) != text:
        raise invalid(kind, name)
    return value
