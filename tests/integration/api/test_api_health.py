import asyncio

import httpx

from cli.stack import Stack
from tests.support.history import HistoryBuilder
from tests.support.query_api import (
    StandingClock,
    create_credentials,
    project,
    record,
    running_api,
)

AWAY = "The database can't be reached at the moment. Try again in a while."


async def becomes(client: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
    """The first answer of this status; fails if there is none in time."""
    async with asyncio.timeout(20):
        while True:
            answer = await client.get(path)
            if answer.status_code == status:
                return answer
            await asyncio.sleep(0.05)


def unavailable(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()) == (503, {"success": False, "error": AWAY})
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["x-request-id"]


async def test_an_empty_system_is_up_and_ready(client) -> None:
    up = await client.get("/healthz")
    assert (up.status_code, up.json()) == (200, {"status": "ok"})
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


async def test_not_ready_while_a_read_model_is_far_behind(database_url, connection) -> None:
    first, second = HistoryBuilder(0).create("wal_a"), HistoryBuilder(1).create("wal_b")
    await record(connection, first, second)
    async with running_api(database_url, readyz_lag_entries_max=3) as client:
        # the lag is the sum over the shards
        await first.topup("wal_a", 1).topup("wal_a", 2).write(connection)
        await second.topup("wal_b", 1).write(connection)
        assert (await client.get("/readyz")).status_code == 200
        await second.topup("wal_b", 1).write(connection)
        await project(connection, "wallets", "lots")
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {
            "success": False,
            "error": "The read model 'transactions' is 4 entries behind the log, more than 3: is"
            " `wallet projector` running?",
        }
        assert answer.headers["retry-after"]
        assert (await client.get("/healthz")).status_code == 200
        # what no answer comes from does not matter
        await project(connection, "transactions")
        assert (await client.get("/readyz")).status_code == 200


async def test_the_database_may_go_and_come_back(stack: Stack, database_url, connection) -> None:
    await record(connection, HistoryBuilder().create("wal_a").topup("wal_a", 700))
    async with running_api(database_url, StandingClock()) as client:
        assert (await client.get("/readyz")).status_code == 200
        before = (await client.get("/v1/wallets/wal_a")).json()
        assert before["balance"] == 700
        waiting = asyncio.create_task(client.get("/v1/wallets/wal_a?wait_for=0:9"))
        await asyncio.wait({waiting}, timeout=0.3)
        assert not waiting.done()
        await stack.postgres.kill()
        try:
            unavailable(await waiting)
            assert (await client.get("/healthz")).status_code == 200
            not_ready = await client.get("/readyz")
            assert (not_ready.status_code, not_ready.json()["error"]) == (503, AWAY)
            for path in (
                "/v1/wallets/wal_a",
                "/v1/wallets",
                "/v1/wallets/wal_a/transactions",
                "/v1/wallets/wal_a?wait_for=0:0",
            ):
                unavailable(await client.get(path))
            # what needs no database is told all the same
            assert (await client.get("/v1/nothing/x")).status_code == 404
            stranger = await client.get("/v1/wallets/wal_a", auth=None)
            assert stranger.status_code == 401
        finally:
            await stack.postgres.start()
        await becomes(client, "/readyz", 200)
        assert (await client.get("/v1/wallets/wal_a")).json() == before
        seen = await client.get("/v1/wallets/wal_a?wait_for=0:1")
        assert seen.json() == before


async def test_the_api_starts_without_the_database(stack: Stack, database_url, connection) -> None:
    await record(connection, HistoryBuilder().create("wal_a"))
    auth = await create_credentials(database_url)
    await stack.postgres.stop()
    try:
        async with running_api(database_url, auth=auth) as client:
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/readyz")).status_code == 503
            unavailable(await client.get("/v1/wallets/wal_a"))
            await stack.postgres.start()
            await becomes(client, "/readyz", 200)
            assert (await client.get("/v1/wallets/wal_a")).status_code == 200
    finally:
        if not stack.postgres.process.running:
            await stack.postgres.start()
