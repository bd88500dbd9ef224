"""What a schema can't say of a good request: loaded by schemathesis, in its own process."""

from typing import Any, Final

import schemathesis
from schemathesis import Case, GenerationMode, HookContext

from api.openapi.examples import BODIES
from api.openapi.parameters import IDEMPOTENCY_KEY

# each leads into one list and into no other, or names a command that is there
_ELSEWHERE: Final = ("after", "cursor", "wait_for")
# how many digits a number has depends on its country
_PHONE: Final = "+233241234567"
_KEY: Final = str(IDEMPOTENCY_KEY["name"])
_REFERENCES: Final = {body["reference"] for body in BODIES.values() if "reference" in body}
_EMAILS: Final = {body["email"] for body in BODIES.values() if "email" in body}


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Make good requests as good as the schema calls them; bad ones stay as bad as they are."""
    if case.headers.get(_KEY) == IDEMPOTENCY_KEY["example"]:
        case.headers[_KEY] = case.id
    if isinstance(case.body, dict):
        case.body = {name: _new(case.id, value) for name, value in case.body.items()}
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    for name in _ELSEWHERE:
        case.query.pop(name, None)
    if isinstance(case.body, dict):
        case.body = {name: _good(name, value) for name, value in case.body.items()}


def _new(case_id: str, value: Any) -> Any:
    """Examples are used again and again, and would be nothing but repeats and conflicts."""
    if isinstance(value, str) and value in _REFERENCES:
        return f"ref_{case_id}"
    if isinstance(value, str) and value in _EMAILS:
        return f"{case_id}@example.com"
    return value


def _good(name: str, value: Any) -> Any:
    if name == "phone" and value is not None:
        return _PHONE
    # 5.0 is an integer to a schema, and to nobody who counts money
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value
