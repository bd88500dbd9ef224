"""Compare-and-set: the conditions of an UPDATE, read from its text.

They are not written down a second time, so whoever takes one out of the SQL takes it out of the
simulation as well.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tests.simulation.database.errors import UnknownQueryError

Condition = Callable[[Any, Sequence[Any], datetime], bool]
"""Whether a row meets it, given the arguments of the query and the time on the server's clock."""

_BETWEEN = re.compile(
    r"\$(\d+) BETWEEN clock_timestamp\(\) - interval '(\d+) s'"
    r" AND clock_timestamp\(\) \+ interval '(\d+) s'"
)
_EQUAL = re.compile(r"(\w+) = \$(\d+)")
_GIVEN = re.compile(r"\$(\d+)::\w+ IS NOT NULL")


class Guarded(NamedTuple):
    """A query's text around the conditions of its UPDATE, and these."""

    around: tuple[str, str]
    conditions: str


def split_conditions(text: str) -> Guarded | None:
    """None if the query has no UPDATE with conditions that ends in RETURNING."""
    flat = " ".join(text.split())
    found = re.search(r"\bUPDATE \w+ SET .*? WHERE (.*?) RETURNING ", flat)
    if found is None:
        return None
    return Guarded((flat[: found.start(1)], flat[found.end(1) :]), found[1])


def read_conditions(text: str, key: frozenset[str]) -> list[Condition]:
    """The conditions besides those on the columns of the `key`, by which the row was found.

    Raises UnknownQueryError if there is one that cannot be read.
    """
    conditions: list[Condition] = []
    named: set[str] = set()
    rest = text
    while rest:
        found, make = _match(rest)
        if make is _equal and found[1] in key:
            named.add(found[1])
        else:
            conditions.append(make(found))
        rest = rest[found.end() :].removeprefix(" AND ")
    if named != key:
        raise UnknownQueryError(f"it is not one row that is changed: {text}")
    return conditions


def _match(text: str) -> tuple[re.Match[str], "_Make"]:
    for pattern, make in _READERS:
        found = pattern.match(text)
        if found is not None:
            return found, make
    raise UnknownQueryError(f"a condition that the simulation cannot read: {text}")


def _between(found: re.Match[str]) -> Condition:
    place = int(found[1]) - 1
    behind, ahead = timedelta(seconds=int(found[2])), timedelta(seconds=int(found[3]))
    return lambda _, arguments, now: now - behind <= arguments[place] <= now + ahead


def _equal(found: re.Match[str]) -> Condition:
    column, place = found[1], int(found[2]) - 1
    return lambda row, arguments, _: bool(getattr(row, column) == arguments[place])


def _given(found: re.Match[str]) -> Condition:
    place = int(found[1]) - 1
    return lambda _, arguments, __: arguments[place] is not None


_Make = Callable[[re.Match[str]], Condition]
_READERS: tuple[tuple[re.Pattern[str], _Make], ...] = (
    (_BETWEEN, _between),
    (_EQUAL, _equal),
    (_GIVEN, _given),
)
