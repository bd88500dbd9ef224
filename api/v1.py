"""Version 1: how it presents what handlers return or raise."""

from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct

from api.calls import Call, Operation
from api.errors import ApiError, UnauthorizedError
from api.versions import Version, shown_as
from projections.pages import Page
from schemas.resources import Failure, ResourceList


class UnauthorizedFailure(Struct, frozen=True, kw_only=True):
    """Why the caller is not let in."""

    success: bool = False
    message: str


def _item_type(operation: Operation) -> type[Struct]:
    return operation.v1_answer or operation.answer


def _answer_type(operation: Operation) -> Any:
    item = _item_type(operation)
    return ResourceList[item] if operation.listed else item  # type: ignore[valid-type]


def _present(operation: Operation, _: Call, result: Any) -> Any:
    kind = _item_type(operation)
    if isinstance(result, Page):
        items = [shown_as(kind, item) for item in result.items]
        return ResourceList(items, has_more=result.older is not None)
    return shown_as(kind, result)


def _present_failure(error: ApiError) -> Struct:
    if isinstance(error, UnauthorizedError):
        return UnauthorizedFailure(message=str(error))
    return Failure(error=str(error))


def _failure_type(status: HTTPStatus) -> type[Struct]:
    return UnauthorizedFailure if status == HTTPStatus.UNAUTHORIZED else Failure


V1: Final = Version(
    name="v1",
    strict=False,
    hidden=frozenset({"cursor"}),
    present=_present,
    present_failure=_present_failure,
    answer_type=_answer_type,
    failure_type=_failure_type,
)
