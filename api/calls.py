"""Calls: an operation of the API, and one request for it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from api.access.scopes import Scope
from api.parameters import NoQuery
from projections.pages import PageRequest
from schemas.ids import Owner

if TYPE_CHECKING:
    from api.services import Services


class Principal(Struct, frozen=True):
    """Who is calling: a key, for one merchant in one environment.

    `requests_per_second` is how many the key may make; `allowed_networks` from where, in CIDR
    notation: from anywhere if there are none.
    """

    owner: Owner
    client_id: str
    scopes: frozenset[str]
    requests_per_second: int
    allowed_networks: tuple[str, ...] = ()


class NoBody(Struct, frozen=True):
    """The body of an operation that needs none."""


class Call(Struct, frozen=True, kw_only=True):
    """One request, its parameters and its body read and checked.

    `effect_id` names what this request does, 24 letters and digits: ids and references of what it
    makes are made from it, so that doing it again makes nothing more. `deadline` is of the event
    loop's clock. `page` is which page of the list is asked for, where there is one.
    """

    principal: Principal
    request_id: str
    path: dict[str, str]
    query: Any
    page: PageRequest
    body: Any
    effect_id: str
    deadline: float

    @property
    def owner(self) -> Owner:
        return self.principal.owner


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What can be asked for, in every version of the API.

    `answer` is what is answered with, of a list each item; version 1 shows only those of its fields
    that `v1_answer` has, if that is given. `refusals` are the statuses with which
    it may be refused beyond those that every operation has.
    """

    name: str
    summary: str
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    scope: Scope
    handle: Callable[["Services", Call], Awaitable[Any]]
    answer: type[Struct]
    v1_answer: type[Struct] | None = None
    listed: bool = False
    status: HTTPStatus = HTTPStatus.OK
    query: type[NoQuery] = NoQuery
    body: type[Struct] = NoBody
    refusals: tuple[HTTPStatus, ...] = ()
