"""Version 1: how it presents what handlers return or raise."""

from typing import Any

from msgspec import Struct

from api.calls import Call, Operation
from api.errors import ApiError, UnauthorizedError
from api.versions import Version
from projections.queries import Page
from schemas.resources import Failure, ResourceList


class UnauthorizedFailure(Struct, frozen=True, kw_only=True):
    """Why the caller is not let in."""

    success: bool = False
    message: str


def _present(_: Operation, __: Call, result: Any) -> Any:
    """A page of a list as `data` and `has_more`; anything else as it is."""
    if isinstance(result, Page):
        return ResourceList(result.items, result.has_more)
    return result


def _present_failure(error: ApiError) -> Any:
    if isinstance(error, UnauthorizedError):
        return UnauthorizedFailure(message=str(error))
    return Failure(error=str(error))


V1 = Version("v1", strict=False, present=_present, present_failure=_present_failure)
