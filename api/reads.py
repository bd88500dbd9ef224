"""Reads: answers from the read models, within the deadline and after what they wait for."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from api.errors import NotShownYetError, UnavailableError
from api.parameters import NoQuery, invalid, place_of
from projections.queries import ReadModels
from projections.waiting import ShardWatch, UnknownPartitionError

Answer = TypeVar("Answer")


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Reads:
    """What handlers answer from."""

    models: ReadModels
    watch: ShardWatch
    deadline_ms: int
    clock: Callable[[], datetime] = utc_now

    async def answer(
        self,
        query: NoQuery,
        models: Sequence[str],
        ask: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """What `ask` gives, once `models` show the command that `query` waits for."""
        place = place_of(query)
        shown = place is None
        try:
            async with asyncio.timeout(self.deadline_ms / 1000):
                if place is not None:
                    await self.watch.wait_until_shown(place, models)
                    shown = True
                return await ask()
        except TimeoutError:
            if shown:
                raise UnavailableError(
                    f"There was no answer within {self.deadline_ms} ms. Try again in a while."
                ) from None
            raise NotShownYetError(getattr(query, "wait_for", ""), self.deadline_ms) from None
        except UnknownPartitionError:
            raise invalid(type(query), "wait_for") from None
