"""The conditions of an append's fence, and the fence without some of them."""

from typing import Final

from engine import log

CONDITIONS: Final = {
    "lease": ("lease = $2", "$2::uuid IS NOT NULL"),
    "next_offset": ("next_offset = $3", "$3::bigint IS NOT NULL"),
    "position": ("position = $4", "$4::bigint IS NOT NULL"),
    "clock": (
        "$9 BETWEEN clock_timestamp() - interval '5 s' AND clock_timestamp() + interval '1 s'",
        "$9::timestamptz IS NOT NULL",
    ),
}
"""What each says in the query `append`, and what takes the same parameter and lets all pass."""


def append_without(*names: str) -> str:
    """The text of the query without these conditions."""
    query = log._QUERIES["append"]
    for name in names:
        there, instead = CONDITIONS[name]
        if there not in query:
            raise AssertionError(f"the append does not say {there!r} any more")
        query = query.replace(there, instead)
    return query
