"""Version 1: how it presents what handlers return or raise."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import Struct

from api.calls import Call, Operation
from api.errors import ApiError, UnauthorizedError
from api.versions import Version
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
    """A page of a list as `data` and `has_more`; anything else as it is."""
    if isinstance(result, Page):
        items = [_shown(operation, item) for item in result.items]
        return ResourceList(items, has_more=result.older is not None)
    return _shown(operation, result)


def _shown(operation: Operation, resource: Any) -> Any:
    kind = operation.v1_answer
    if kind is None:
        return resource
    fields = msgspec.structs.fields(kind)
    return kind(**{field.name: getattr(resource, field.name) for field in fields})


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
