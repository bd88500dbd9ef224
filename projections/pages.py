"""Pages of lists that are newest first, on from any item in either direction.

A list's query ends with the columns that it is ordered by and the limit, and leaves open which
way it goes:

    -- name: topup_page
    -- Top-ups of a wallet ($1) on from the one created at $2 with the id $3, at most $4.
    SELECT … FROM topups
     WHERE wallet_id = $1
       AND ($2::timestamptz IS NULL OR (created_at, topup_id) {beyond} ($2, $3::text))
     ORDER BY created_at {direction}, topup_id {direction}
     LIMIT $4;

    TOPUPS = PageQuery(QUERIES["topup_page"], key_columns=2)

Handlers get the `PageRequest` as `call.page` and return the `Page`, which each version of the API
presents in its own way. The key of the anchor's item is looked up by `find_key`, among what the
caller may see; if it is not there, UnknownCursorError makes a 400 of it.

    with reaching_database():
        page = await TOPUPS.page(services.rows, call.page, find_key, to_topup, wallet_id)
"""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

import asyncpg
from msgspec import Struct

from projections.errors import ProjectionError


class UnknownCursorError(ProjectionError):
    """The item that a page is to follow is not there."""

    code = "unknown_cursor"


class Identified(Protocol):
    """What stands in lists."""

    @property
    def id(self) -> str: ...


Key = tuple[Any, ...]
"""What an item is ordered by, column by column."""

Item = TypeVar("Item")
Listed = TypeVar("Listed", bound=Identified)


class Anchor(Struct, frozen=True, kw_only=True, array_like=True):
    """What a page is next to: the items newer, or else older, than the one of this id.

    `inclusive`: that item too.
    """

    item_id: str
    newer: bool = False
    inclusive: bool = False

    def turned(self) -> "Anchor":
        """All that is not on this side of it."""
        return Anchor(item_id=self.item_id, newer=not self.newer, inclusive=not self.inclusive)


class PageRequest(Struct, frozen=True, kw_only=True):
    """At most `limit` items, next to the anchor, or the newest if there is none."""

    limit: int
    anchor: Anchor | None = None


class Page(Struct, Generic[Item], frozen=True, kw_only=True):
    """Items, newest first, and where there are more: None if there is nothing that way."""

    items: list[Item]
    newer: Anchor | None = None
    older: Anchor | None = None


class PageQuery:
    """The query of a list, as at the top of this module."""

    def __init__(self, text: str, *, key_columns: int) -> None:
        self._text = text
        self._no_key = (None,) * key_columns

    async def page(
        self,
        pool: asyncpg.Pool,
        request: PageRequest,
        find_key: Callable[[str], Awaitable[Key]],
        item: Callable[[asyncpg.Record], Listed],
        *arguments: object,
    ) -> Page[Listed]:
        """The page, each row of it made an item.

        `find_key` gives the key of the anchor's item, or raises UnknownCursorError.
        """
        anchor = request.anchor
        newer = anchor is not None and anchor.newer
        key = self._no_key if anchor is None else await find_key(anchor.item_id)
        given = (*arguments, *key)
        rows = await pool.fetch(self._toward(anchor), *given, request.limit + 1)
        more = len(rows) > request.limit
        behind = anchor is not None and bool(
            await pool.fetch(self._toward(anchor.turned()), *given, 1)
        )
        found = [item(row) for row in rows[: request.limit]]
        if newer:
            found.reverse()
        if not found:
            return _empty(anchor if behind else None)
        has_newer, has_older = (more, behind) if newer else (behind, more)
        return Page(
            items=found,
            newer=Anchor(item_id=found[0].id, newer=True) if has_newer else None,
            older=Anchor(item_id=found[-1].id) if has_older else None,
        )

    def _toward(self, anchor: Anchor | None) -> str:
        newer = anchor is not None and anchor.newer
        beyond, direction = (">", "ASC") if newer else ("<", "DESC")
        if anchor is not None and anchor.inclusive:
            beyond += "="
        # format() would trip over JSON's braces
        return self._text.replace("{beyond}", beyond).replace("{direction}", direction)


def _empty(anchor: Anchor | None) -> Page[Any]:
    if anchor is None:
        return Page(items=[])
    back = anchor.turned()
    return Page(items=[], newer=back) if back.newer else Page(items=[], older=back)
