"""What was written before a read is in its answer, though the read models are filled later.

A history that is written and not projected is what a projector that pauses leaves behind.
"""

import asyncio
from collections.abc import Sequence

import httpx
import pytest

from api.errors import ReadsBehindError
from api.reads import Reads
from api.wallets.ownership import WalletOwners
from engine.topology import home
from projections.queries import WALLET_MODELS, EntryPlace, ReadModels, open_pool
from projections.waiting import ShardWatch
from schemas.ids import Owner
from tests.support.history import HistoryBuilder
from tests.support.polling import poll
from tests.support.query_api import create_credentials, project, record, running_api

STILL_WAITS_S = 0.4
WALLET = "/v2/wallets/wal_a"
TRANSACTIONS = f"{WALLET}/transactions"
PARTITIONS = """
INSERT INTO topology (commands_topic, events_topic, partitions) VALUES ('c', 'e', $1)
"""


def ask(client: httpx.AsyncClient, path: str, **options) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(client.get(path, **options))


@pytest.fixture
def readers(monkeypatch) -> list[str]:
    """Grows with each reader that has looked how far the models are, and waits for them."""
    waiting: list[str] = []
    wait = ShardWatch.wait_until_taken_in

    async def wait_and_tell(self: ShardWatch, entry: EntryPlace, models: Sequence[str]) -> None:
        waiting.append(f"{entry.shard}:{entry.position}")
        await wait(self, entry, models)

    monkeypatch.setattr(ShardWatch, "wait_until_taken_in", wait_and_tell)
    return waiting


async def waits(*tasks: asyncio.Task) -> bool:
    """Whether none has ended after a time that is enough for an answer."""
    done, _ = await asyncio.wait(tasks, timeout=STILL_WAITS_S)
    return not done


async def test_reads_of_a_wallet_wait_for_what_was_written_to_it(client, connection) -> None:
    history = HistoryBuilder().create("wal_a").topup("wal_a", 700)
    await record(connection, history)
    await history.debit("wal_a", 50).freeze("wal_a").write(connection)
    wallet, transactions = ask(client, WALLET), ask(client, TRANSACTIONS)
    assert await waits(wallet, transactions)
    await project(connection)
    shown = (await wallet).json()
    assert (shown["balance"], shown["status"]) == (650, "frozen")
    assert [each["amount"] for each in (await transactions).json()["data"]] == [50, 700]


async def test_a_read_waits_for_the_models_that_it_is_answered_from(client, connection) -> None:
    history = HistoryBuilder().create("wal_a").topup("wal_a", 700)
    await record(connection, history)
    await history.debit("wal_a", 50).write(connection)
    wallet, transactions = ask(client, WALLET), ask(client, TRANSACTIONS)
    await project(connection, "wallets", "postings")
    assert await waits(wallet, transactions)
    await project(connection, "transactions")
    assert [each["amount"] for each in (await transactions).json()["data"]] == [50, 700]
    assert await waits(wallet)
    await project(connection, "lots")
    assert (await wallet).json()["balance"] == 650


async def test_other_wallets_backlog_is_not_waited_for(client, connection) -> None:
    history = HistoryBuilder().create("wal_a").create("wal_b").topup("wal_a", 700)
    await record(connection, history)
    history.topup("wal_b", 5).topup("wal_b", 6).create("wal_c")
    # a refusal changes nothing of the wallet
    await history.debit("wal_a", 9_999).write(connection)
    for path, expected in ((WALLET, 700), (TRANSACTIONS, 700)):
        answer = (await client.get(path)).json()
        assert (answer.get("balance") or answer["data"][0]["amount"]) == expected
    assert await waits(ask(client, "/v1/wallets/wal_b"))
    await project(connection)


async def test_a_wallet_that_is_only_in_the_log_is_waited_for(client, connection) -> None:
    await connection.execute(PARTITIONS, 1)
    history = HistoryBuilder().create("wal_a")
    await history.topup("wal_a", 700).write(connection)
    wallet, transactions = ask(client, WALLET), ask(client, TRANSACTIONS)
    assert await waits(wallet, transactions)
    await project(connection)
    assert (await wallet).json()["balance"] == 700
    assert len((await transactions).json()["data"]) == 1


async def test_it_is_sought_in_the_shard_where_it_is_at_home(client, connection) -> None:
    # murmur2 over 4 partitions: wal_a is at home in one, and not in the others
    await connection.execute(PARTITIONS, 4)
    histories = [HistoryBuilder(shard).create(f"wal_{shard}x") for shard in range(4)]
    for history in histories:
        await history.write(connection)
    at_home = [shard for shard in range(4) if home(f"wal_{shard}x", 4) == shard]
    assert 0 < len(at_home) < 4
    answers = [ask(client, f"/v1/wallets/wal_{shard}x") for shard in range(4)]
    # once the models have them, they are found wherever they are
    for shard in set(range(4)) - set(at_home):
        assert (await answers[shard]).status_code == 404
    assert await waits(*(answers[shard] for shard in at_home))
    await project(connection)
    for shard in at_home:
        assert (await answers[shard]).status_code == 200


async def test_another_owners_wallet_in_the_log_is_one_that_never_was(
    client, connection, database_url
) -> None:
    await connection.execute(PARTITIONS, 1)
    await HistoryBuilder().create("wal_a").topup("wal_a", 1).write(connection)
    for owner in (Owner("mch_1", "sandbox"), Owner("mch_2", "live")):
        auth = await create_credentials(database_url, owner)
        for path in ("", "/transactions"):
            theirs = await client.get(f"/v1/wallets/wal_a{path}", auth=auth)
            never = await client.get(f"/v1/wallets/wal_n{path}", auth=auth)
            assert theirs.status_code == never.status_code == 404
            assert theirs.text == never.text.replace("wal_n", "wal_a")


async def test_lists_wait_for_all_that_the_log_had(client, connection) -> None:
    first, second = HistoryBuilder(0).create("wal_a"), HistoryBuilder(1).create("wal_b")
    await record(connection, first, second)
    await first.topup("wal_a", 5).write(connection)
    await second.create("wal_c").write(connection)
    listed = ask(client, "/v1/wallets")
    assert await waits(listed)
    await project(connection, "wallets")
    assert await waits(listed)
    await project(connection)
    page = (await listed).json()["data"]
    assert {each["id"]: each["balance"] for each in page} == {"wal_a": 5, "wal_b": 0, "wal_c": 0}


async def test_lists_do_not_wait_for_what_came_later(client, connection, readers) -> None:
    history = HistoryBuilder().create("wal_a")
    await record(connection, history)
    await history.create("wal_b").write(connection, 1)
    listed = ask(client, "/v1/wallets")
    await poll(lambda: readers)
    assert await waits(listed)
    # the models get what the request found, and the log goes on at the same moment
    async with connection.transaction():
        await project(connection)
        await history.create("wal_c").write(connection)
    assert len((await listed).json()["data"]) == 2
    await project(connection)


async def test_the_deadline_says_that_it_is_late(database_url, connection) -> None:
    history = HistoryBuilder().create("wal_a")
    await record(connection, history)
    async with running_api(database_url, api_deadline_ms=1_500) as client:
        await history.topup("wal_a", 700).write(connection)
        for path in (WALLET, TRANSACTIONS, "/v2/wallets"):
            answer = await client.get(path)
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["error"]["code"] == "reads_behind"
        await project(connection)
        assert (await client.get(WALLET)).json()["balance"] == 700


async def test_a_wallet_that_is_written_to_without_end_is_answered(client, connection) -> None:
    history = HistoryBuilder().create("wal_a")
    await record(connection, history)
    await history.topup("wal_a", 1).write(connection)
    answer = ask(client, WALLET)
    async with asyncio.timeout(20):
        while not answer.done():
            # there is an entry that the models lack at every moment
            async with connection.transaction():
                await project(connection)
                await history.topup("wal_a", 1).write(connection)
            await asyncio.sleep(0.05)
    assert (await answer).json()["balance"] >= 1


async def test_balance_and_status_are_of_one_moment(client, connection) -> None:
    history = HistoryBuilder().create("wal_a").topup("wal_a", 700)
    await record(connection, history)
    await history.topup("wal_a", 1).write(connection)
    answer = ask(client, WALLET)
    assert await waits(answer)
    # while it waits the log goes on, and the models come to different places of it
    async with connection.transaction():
        await project(connection, "lots")
        await history.close("wal_a").write(connection)
        await project(connection, "wallets")
        await history.create("wal_b").write(connection)
    assert await waits(answer)
    await project(connection, "lots")
    shown = (await answer).json()
    assert (shown["status"], shown["balance"], shown["lots"]) == ("closed", 0, [])


async def test_whoever_asks_can_wait_for_all_shards(database_url, connection) -> None:
    first, second = HistoryBuilder(0).create("wal_a"), HistoryBuilder(1).create("wal_b")
    await record(connection, first, second)
    async with open_pool(database_url, timeout_s=5, connections_max=2) as pool:
        watch = ShardWatch(pool, poll_interval_s=0.02)
        reads = Reads(ReadModels(pool), watch, WalletOwners(pool), 100)
        watching = asyncio.create_task(watch.run())
        now = asyncio.get_running_loop().time
        await reads.caught_up(WALLET_MODELS, now() + 5)
        await second.topup("wal_b", 5).write(connection)
        with pytest.raises(ReadsBehindError):
            await reads.caught_up(WALLET_MODELS, now() + 0.2)
        caught_up = asyncio.create_task(reads.caught_up(WALLET_MODELS, now() + 20))
        await project(connection, "wallets")
        assert await waits(caught_up)
        await project(connection)
        await caught_up
        watching.cancel()
        await asyncio.wait({watching})


async def test_a_wallet_is_read_in_one_statement(client, connection) -> None:
    await record(connection, HistoryBuilder().create("wal_a").topup("wal_a", 5))
    asked: list[str] = []
    fetch = ReadModels._fetch

    async def count(self: ReadModels, query: str, *arguments: object) -> list:
        asked.append(query)
        return await fetch(self, query, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReadModels, "_fetch", count)
        assert (await client.get(WALLET)).status_code == 200
    assert asked == ["wallet"]
