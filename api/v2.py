"""Version 2: how it presents what handlers return or raise."""

from typing import Any

from msgspec import Struct

from api.calls import Call, Operation
from api.errors import ApiError
from api.versions import Version
from projections.queries import Page


class ErrorDetail(Struct, frozen=True, kw_only=True):
    """`code` is stable, `message` is for people, `docs_url` says more."""

    code: str
    message: str
    docs_url: str


class StructuredFailure(Struct, frozen=True, kw_only=True):
    """Why there is no answer."""

    error: ErrorDetail


def _present(_: Operation, __: Call, result: Any) -> Any:
    if isinstance(result, Page):
        return {"data": result.items, "next_cursor": None, "prev_cursor": None}
    return result


def _present_failure(error: ApiError) -> Any:
    detail = ErrorDetail(
        code=error.code, message=str(error), docs_url=f"/docs/errors#{error.code}"
    )
    return StructuredFailure(error=detail)


V2 = Version("v2", strict=True, present=_present, present_failure=_present_failure)
