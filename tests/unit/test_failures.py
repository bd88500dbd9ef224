import msgspec
import pytest

from api.errors import ApiError, ReadsBehindError, UnavailableError
from api.failures import failure
from api.v1 import V1

SAFE = "A retry with the same reference, or the same Idempotency-Key, is safe."


@pytest.mark.parametrize("error", [ReadsBehindError(10_000), UnavailableError("No answer.")])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_whoever_may_have_changed_something_is_told_that_a_retry_is_safe(
    error: ApiError, method: str
) -> None:
    sentence = str(error)
    answer = failure(V1, error, method)
    told = msgspec.json.decode(answer.body)["error"]
    assert told == (sentence if method == "GET" else f"{sentence} {SAFE}")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
