"""Version 2: how it presents what handlers return or raise."""

from http import HTTPStatus
from typing import Any, Generic, TypeVar

from msgspec import Struct

from api.calls import Call, Operation
from api.cursors import Cursors, origin_of
from api.errors import ApiError
from api.versions import Version, shown_as
from projections.pages import Anchor, Page

Item = TypeVar("Item")


class CursorList(Struct, Generic[Item], frozen=True, kw_only=True):
    """A page of a list, newest first.

    `next_cursor` leads to the older ones after `data`'s last item, `prev_cursor` to the newer ones
    before its first; null where there is nothing that way.
    """

    data: list[Item]
    next_cursor: str | None
    prev_cursor: str | None


class ErrorDetail(Struct, frozen=True, kw_only=True):
    """`code` is stable, `message` is for people, `docs_url` says more."""

    code: str
    message: str
    docs_url: str


class StructuredFailure(Struct, frozen=True, kw_only=True):
    """Why there is no answer."""

    error: ErrorDetail


def v2(public_url: str, cursors: Cursors) -> Version:
    """The version, for callers who reach the API under `public_url`."""

    def present(operation: Operation, call: Call, result: Any) -> Any:
        if not isinstance(result, Page):
            return shown_as(operation.answer, result)
        origin = origin_of(operation.name, call.owner, call.path, call.query)

        def cursor(anchor: Anchor | None) -> str | None:
            return None if anchor is None else cursors.write(origin, anchor)

        return CursorList(
            data=[shown_as(operation.answer, item) for item in result.items],
            next_cursor=cursor(result.older),
            prev_cursor=cursor(result.newer),
        )

    def present_failure(error: ApiError) -> Struct:
        return StructuredFailure(
            error=ErrorDetail(
                code=error.code,
                message=str(error),
                docs_url=f"{public_url}/docs/errors#{error.code}",
            )
        )

    return Version(
        name="v2",
        strict=True,
        hidden=frozenset({"after"}),
        present=present,
        present_failure=present_failure,
        answer_type=_answer_type,
        failure_type=_failure_type,
    )


def _answer_type(operation: Operation) -> Any:
    item = operation.answer
    return CursorList[item] if operation.listed else item  # type: ignore[valid-type]


def _failure_type(_: HTTPStatus) -> type[Struct]:
    return StructuredFailure
