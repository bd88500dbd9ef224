import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from api.draining import Draining
from api.errors import NotReadyError
from api.health import Readiness
from projections.queries import Lag, ReadModels


class Silent:
    """Read models over a database that does not even notice that nobody waits any more."""

    def __init__(self) -> None:
        self.recovered = asyncio.Event()

    async def lag(self, _: Sequence[str]) -> Lag | None:
        try:
            await self.recovered.wait()
        finally:
            await self.recovered.wait()
        return None


async def test_a_silent_database_is_told_of_at_the_deadline() -> None:
    models = Silent()
    readiness = Readiness(cast("ReadModels", models), 20, lag_entries_max=1, draining=Draining())
    with pytest.raises(NotReadyError, match="did not answer within 20 ms"):
        await asyncio.wait_for(readiness.check(), 10)
    models.recovered.set()
