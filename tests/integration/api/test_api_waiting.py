import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest

from projections.listening import Listener
from projections.queries import WALLET_MODELS, DatabaseAwayError, open_pool
from projections.waiting import Place, ShardWatch
from tests.support.history import HistoryBuilder
from tests.support.polling import poll
from tests.support.query_api import project, record, running_api

NEVER_S = 3600.0
STILL_WAITS_S = 0.4

WALLET = "/v1/wallets/wal_a"
LISTENER = """
SELECT pid FROM pg_stat_activity
 WHERE application_name = 'wallet-api-listener' AND datname = current_database()
   AND state = 'idle' AND query LIKE 'LISTEN%wallet_models%'
"""
LAST_LOOK = """
SELECT max(query_start) FROM pg_stat_activity
 WHERE application_name = 'wallet-api' AND datname = current_database()
"""


async def waits(task: asyncio.Task) -> bool:
    """Whether it has not ended after a time that is enough for an answer."""
    await asyncio.wait({task}, timeout=STILL_WAITS_S)
    return not task.done()


def ask(client: httpx.AsyncClient, path: str, wait_for: str) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(client.get(path, params={"wait_for": wait_for}))


async def test_a_read_waits_until_the_command_is_decided_and_shown(client, connection) -> None:
    history = HistoryBuilder().create("wal_a").topup("wal_a", 700)
    await record(connection, history)
    answers = {path: ask(client, path, "0:2") for path in (WALLET, "/v1/wallets")}
    answers[f"{WALLET}/transactions"] = ask(client, f"{WALLET}/transactions", "0:2")
    for answer in answers.values():
        assert await waits(answer)
    await history.topup("wal_a", 50).write(connection)
    for answer in answers.values():
        assert await waits(answer)
    await project(connection)
    assert (await answers[WALLET]).json()["balance"] == 750
    assert (await answers["/v1/wallets"]).json()["data"][0]["balance"] == 750
    assert (await answers[f"{WALLET}/transactions"]).json()["data"][0]["amount"] == 50


async def test_what_is_shown_is_answered_at_once(client, connection) -> None:
    history = HistoryBuilder().create("wal_a").topup("wal_a", 700)
    await record(connection, history)
    for place in ("0:0", "0:1"):
        answer = await client.get(WALLET, params={"wait_for": place})
        assert answer.json()["balance"] == 700


async def test_a_read_waits_for_the_models_it_uses_and_no_others(client, connection) -> None:
    history = HistoryBuilder().create("wal_a")
    await record(connection, history)
    await history.topup("wal_a", 700).write(connection)
    wallet = ask(client, WALLET, "0:1")
    transactions = ask(client, f"{WALLET}/transactions", "0:1")
    await project(connection, "wallets", "postings")
    assert await waits(wallet)
    await project(connection, "lots")
    assert (await wallet).json()["balance"] == 700
    assert await waits(transactions)
    await project(connection, "transactions")
    assert [each["amount"] for each in (await transactions).json()["data"]] == [700]


async def test_a_command_without_an_entry_of_its_own_is_waited_for_too(client, connection) -> None:
    history = HistoryBuilder().create("wal_a").topup("wal_a", 700, reference="same")
    await record(connection, history)
    repeat = ask(client, WALLET, "0:2")
    assert await waits(repeat)
    # a repeat appends nothing, and only moves the offset on
    await history.topup("wal_a", 700, reference="same").write(connection)
    assert len(history.entries) == 2
    assert (await repeat).json()["balance"] == 700


async def test_a_forward_is_followed_to_its_home(client, connection) -> None:
    stray, home = HistoryBuilder(2), HistoryBuilder(5).create("wal_a")
    await record(connection, stray, home)
    await connection.execute(
        'INSERT INTO forwards (shard, "offset", home, home_offset) VALUES (2, 77, 5, 1)'
    )
    await connection.execute("UPDATE shards SET next_offset = 78 WHERE shard = 2")
    answer = ask(client, WALLET, "2:77")
    assert await waits(answer)
    await home.topup("wal_a", 700).write(connection)
    assert await waits(answer)
    await project(connection)
    assert (await answer).json()["balance"] == 700
    # the command before it was no stray
    assert (await client.get(WALLET, params={"wait_for": "2:76"})).status_code == 200


async def test_the_deadline_ends_the_wait(database_url, connection) -> None:
    history = HistoryBuilder().create("wal_a")
    await record(connection, history)
    async with running_api(database_url, api_deadline_ms=1_500) as client:
        for undecided in ("0:1", "0:9223372036854775807", "7:0"):
            answer = await client.get(WALLET, params={"wait_for": undecided})
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.json() == {
                "success": False,
                "error": f"What wait_for={undecided} names was not to be seen within 1500 ms. Ask"
                " again with the same wait_for in a while.",
            }
        # decided, but not shown
        await history.topup("wal_a", 700).write(connection)
        assert (await client.get(WALLET, params={"wait_for": "0:1"})).status_code == 503


async def test_a_partition_that_there_is_not_is_refused(client, connection) -> None:
    await record(connection, HistoryBuilder().create("wal_a"))
    await connection.execute(
        "INSERT INTO topology (commands_topic, events_topic, partitions) VALUES ('c', 'e', 4)"
    )
    answer = await client.get(WALLET, params={"wait_for": "4:0"})
    assert answer.status_code == 400
    assert answer.json()["error"] == "wait_for must be <partition>:<offset> of a command."
    assert (await client.get(WALLET, params={"wait_for": "0:0"})).status_code == 200


async def test_many_wait_on_few_connections(client, connection) -> None:
    history = HistoryBuilder().create("wal_a")
    await record(connection, history)
    answers = [ask(client, WALLET, f"0:{1 + number % 50}") for number in range(90)]
    assert await waits(answers[0])
    for _ in range(50):
        history.topup("wal_a", 1)
    await record(connection, history)
    assert {answer.json()["balance"] for answer in await asyncio.gather(*answers)} == {50}


@asynccontextmanager
async def watching(
    database_url: str, poll_interval_s: float, *, listening: bool
) -> AsyncIterator[ShardWatch]:
    """A watch with this interval, that may or may not hear notifications."""
    async with open_pool(database_url, timeout_s=5, connections_max=2) as pool:
        watch = ShardWatch(pool, poll_interval_s=poll_interval_s)
        work = [asyncio.create_task(watch.run())]
        if listening:
            listener = Listener(database_url)
            watch.subscribe_to(listener)
            work.append(asyncio.create_task(listener.run()))
        yield watch
        for task in work:
            task.cancel()
        await asyncio.wait(work)


def wait(watch: ShardWatch, text: str) -> asyncio.Task[None]:
    return asyncio.create_task(watch.wait_until_shown(Place.parse(text), WALLET_MODELS))


async def until_listening(connection: asyncpg.Connection, but: int | None = None) -> int:
    """The session that listens to every channel, another one than `but`."""
    async with asyncio.timeout(20):
        while True:
            pid = await connection.fetchval(LISTENER)
            if pid not in (None, but):
                return pid


async def test_notifications_end_a_wait_that_would_not_poll(database_url, connection) -> None:
    history = HistoryBuilder().create("wal_a")
    await record(connection, history)
    async with watching(database_url, NEVER_S, listening=True) as watch:
        await until_listening(connection)
        shown = wait(watch, "0:1")
        assert await waits(shown)
        await history.topup("wal_a", 1).write(connection)
        assert await waits(shown)
        await connection.execute("SELECT pg_notify('wallet_shards', '0:2:2')")
        assert await waits(shown)
        await project(connection)
        await asyncio.wait_for(shown, 20)


async def test_notifications_are_heard_again_after_the_connection_broke(
    database_url, connection
) -> None:
    history = HistoryBuilder().create("wal_a")
    await record(connection, history)
    async with watching(database_url, NEVER_S, listening=True) as watch:
        pid = await until_listening(connection)
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
        await until_listening(connection, but=pid)
        shown = wait(watch, "0:1")
        assert await waits(shown)
        await record(connection, history.topup("wal_a", 1))
        await asyncio.wait_for(shown, 20)


async def test_a_wait_ends_without_any_notification(database_url, connection) -> None:
    history = HistoryBuilder().create("wal_a")
    await record(connection, history)
    async with watching(database_url, 0.05, listening=False) as watch:
        shown = wait(watch, "0:1")
        assert await waits(shown)
        await record(connection, history.topup("wal_a", 1))
        await asyncio.wait_for(shown, 20)


async def test_misleading_notifications_change_nothing(database_url, connection) -> None:
    history = HistoryBuilder().create("wal_a")
    await record(connection, history)
    async with watching(database_url, NEVER_S, listening=True) as watch:
        await until_listening(connection)
        shown = wait(watch, "0:1")
        for payload in ("0:99:99", "", "x", "5", "0:-1", "é"):
            for channel in ("wallet_shards", "wallet_models"):
                await connection.execute("SELECT pg_notify($1, $2)", channel, payload)
        assert await waits(shown)
        await record(connection, history.topup("wal_a", 1))
        await asyncio.wait_for(shown, 20)


async def test_nobody_looks_while_nobody_waits(database_url, connection) -> None:
    await record(connection, HistoryBuilder().create("wal_a"))
    async with watching(database_url, 0.01, listening=True) as watch:
        await until_listening(connection)
        await wait(watch, "0:0")
        before = await connection.fetchval(LAST_LOOK)
        assert before is not None
        await project(connection)
        await asyncio.sleep(0.2)
        assert await connection.fetchval(LAST_LOOK) == before


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (asyncpg.InternalClientError("cannot switch to state 15"), DatabaseAwayError),
        (ConnectionResetError("reset by peer"), DatabaseAwayError),
        (ZeroDivisionError("a bug"), ZeroDivisionError),
    ],
)
async def test_one_failed_look_is_not_the_end_of_waiting(
    database_url, connection, monkeypatch, fault, told
) -> None:
    await record(connection, HistoryBuilder().create("wal_a"))

    async def fail(*_: object) -> None:
        raise fault

    async with watching(database_url, 0.05, listening=False) as watch:
        waiting = wait(watch, "0:1")
        await poll(lambda: watch._waiters)
        with monkeypatch.context() as patch:
            patch.setattr(asyncpg.Pool, "fetch", fail)
            with pytest.raises(told):
                await asyncio.wait_for(waiting, 20)
        await asyncio.wait_for(wait(watch, "0:0"), 20)


async def test_those_who_gave_up_are_forgotten(database_url, connection) -> None:
    await record(connection, HistoryBuilder().create("wal_a"))
    async with watching(database_url, 0.01, listening=False) as watch:
        given_up = wait(watch, "0:1")
        await poll(lambda: watch._waiters)
        given_up.cancel()
        await poll(lambda: not watch._waiters)
        with pytest.raises(asyncio.CancelledError):
            await given_up
