"""Query parameters: what each list and each resource takes, and how they are read.

A parameter that stands twice, or is not what it has to be, is refused by its name; one that
nobody knows is passed over.
"""

from collections import Counter
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Request
from msgspec import Meta, Struct

from api.errors import InvalidParameterError
from projections.waiting import Place
from schemas.ids import CustomerId, WalletId
from schemas.money import Currency, is_currency
from schemas.resources import TransactionType, WalletStatus

AnyRequest = Request[Any, Any, Any]

LIMIT_DEFAULT = 20
LIMIT_MAX = 100

Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX)]
ReferenceFilter = Annotated[str, Meta(max_length=255, pattern="^[^\\x00]+$(?!\n)")]

_REQUIREMENTS = {
    "after": "the id of the last item of the page before",
    "currency": "an ISO 4217 currency code",
    "customer_id": "the id of a customer",
    "limit": f"an integer from 1 to {LIMIT_MAX}",
    "reference": "1 to 255 characters",
    "status": "active, frozen or closed",
    "type": "topup, debit, credit, expiry or write_off",
    "wait_for": "<partition>:<offset> of a command",
}


class ReadQuery(Struct, frozen=True, kw_only=True):
    """What every read takes."""

    wait_for: str | None = None

    @property
    def place(self) -> Place | None:
        """The command to wait for."""
        if self.wait_for is None:
            return None
        try:
            return Place.parse(self.wait_for)
        except ValueError:
            raise invalid("wait_for") from None


class ListQuery(ReadQuery, frozen=True, kw_only=True):
    """What every list takes."""

    limit: Limit = LIMIT_DEFAULT
    after: str | None = None


class WalletListQuery(ListQuery, frozen=True, kw_only=True):
    after: WalletId | None = None
    customer_id: CustomerId | None = None
    currency: Currency | None = None
    status: WalletStatus | None = None

    def __post_init__(self) -> None:
        if self.currency is not None and not is_currency(self.currency):
            raise invalid("currency")


class TransactionListQuery(ListQuery, frozen=True, kw_only=True):
    type: TransactionType | None = None
    reference: ReferenceFilter | None = None


Query = TypeVar("Query", bound=ReadQuery)


def invalid(name: str) -> InvalidParameterError:
    """The refusal of the parameter `name`."""
    return InvalidParameterError(name, _REQUIREMENTS[name])


def read_query(request: AnyRequest, kind: type[Query]) -> Query:
    """The request's parameters; raises InvalidParameterError for the first bad one."""
    text = request.scope["query_string"].decode("utf-8", "replace")
    pairs = parse_qsl(text, keep_blank_values=True)
    counts = Counter(name for name, _ in pairs)
    given = dict(pairs)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if counts[field.name] > 1:
            raise InvalidParameterError(field.name, "given once")
        if field.name in given:
            values[field.name] = _value(field.name, given[field.name], field.type)
    return kind(**values)


def _value(name: str, text: str, wanted: object) -> object:
    try:
        value: object = msgspec.convert(text, wanted, strict=False)
    except msgspec.ValidationError:
        raise invalid(name) from None
    # 1e1, 5.0 and, for what may be absent, null are read as something else than they say
    if str(value) != text:
        raise invalid(name)
    return value
