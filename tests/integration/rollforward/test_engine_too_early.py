"""An engine that is started on a restored database before it was rolled forward."""

import pytest

from engine.settings import Settings
from tests.support.databases import connection_to
from tests.support.engines import service
from tests.support.history import HistoryBuilder
from tests.support.restore_points import as_published, log_rows, publish


@pytest.mark.parametrize("last", [4, 1], ids=["in order", "a repeat landed last"])
async def test_it_halts_and_says_what_to_run(
    behind: Settings, history: HistoryBuilder, last: int
) -> None:
    await publish(behind, as_published(history)[last : last + 1])
    async with connection_to(behind.database_url) as connection:
        before = await connection.fetchrow("SELECT next_offset, position FROM shards")
        rows = await log_rows(behind.database_url)
        async with service(behind, 1) as running, running.engine():
            await running.until("SELECT halted IS NOT NULL FROM shards")
        assert await connection.fetchrow("SELECT next_offset, position FROM shards") == before
        halted = await connection.fetchval("SELECT halted FROM shards")
    assert halted.startswith("database_lost_history: ")
    assert "`wallet roll-forward`" in halted
    assert await log_rows(behind.database_url) == rows
