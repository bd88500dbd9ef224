"""JSON objects: read so that no two readers can understand one in two ways."""

import json
import math
from collections import Counter
from typing import Any, Final

from api.errors import InvalidBodyError

_NO_OBJECT: Final = "The body must be a JSON object."
_DIGITS_MAX: Final = 40
_BEYOND: Final = 10**_DIGITS_MAX


def parse_object(data: bytes) -> dict[str, Any]:
    """The object that `data` is; raises InvalidBodyError.

    What readers of JSON disagree on is refused: a key that stands twice, NaN, Infinity, a byte
    order mark, and any other encoding than UTF-8. A number that neither int64 nor a float can hold
    comes out as an integer beyond int64.
    """
    try:
        value = _decoder.decode(data.decode())
    except RecursionError:
        raise InvalidBodyError("The body must be a JSON object of fewer levels.") from None
    except ValueError:
        raise InvalidBodyError(_NO_OBJECT) from None
    if not isinstance(value, dict):
        raise InvalidBodyError(_NO_OBJECT)
    return value


def printable(key: str) -> str:
    """A caller's key as an answer can name it: short, and text in every encoding."""
    shown = key.encode(errors="replace").decode()
    return shown if len(shown) <= 60 else f"{shown[:60]}…"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise InvalidBodyError(f"{printable(twice)} must be given once.")
    return found


def _refuse(_: str) -> float:
    raise ValueError("no number of JSON")


def _integer(text: str) -> int:
    # so many digits are beyond every bound anyway, and Python refuses to read some thousands
    return int(text[:_DIGITS_MAX])


def _float(text: str) -> float:
    number = float(text)
    return _BEYOND if math.isinf(number) else number


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse, parse_int=_integer, parse_float=_float
)
