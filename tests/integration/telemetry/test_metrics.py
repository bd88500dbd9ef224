"""Metrics: what is counted is what happened, and labels are as few as the contract says."""

from collections import Counter
from functools import partial

from tests.support.databases import connection_to
from tests.support.money_calls import debit, open_wallet
from tests.support.polling import poll_async
from tests.support.query_api import create_credentials
from tests.support.scrapes import Scrape
from tests.support.wallet_service import SANDBOX
from tests.support.watched_service import WatchedService


async def _settled(watched: WatchedService) -> Scrape:
    """What is told once all is decided, published and projected."""
    await watched.deployment.until_settled()

    async def is_told() -> bool:
        scrape = await watched.scrape()
        async with connection_to(watched.deployment.settings.database_url) as connection:
            entries = await connection.fetchval("SELECT sum(position) FROM shards")
        return (
            scrape.value("wallet_shard_position") == entries
            and scrape.value("wallet_shard_unpublished_entries") == 0
            and scrape.value("wallet_shard_lag_records") == 0
            and scrape.value("wallet_projection_lag_entries") == 0
        )

    await poll_async(is_told)
    return await watched.scrape()


def _risen(before: Scrape, after: Scrape, name: str, **labels: object) -> float:
    return after.value(name, **labels) - before.value(name, **labels)


async def test_what_was_decided_is_counted_by_outcome_and_code(watched: WatchedService) -> None:
    wallet_id = await open_wallet(watched.client, balance=1_000)
    before = await _settled(watched)
    for number in range(3):
        assert (
            await debit(watched.client, wallet_id, reference=f"r{number}", amount=100)
        ).is_success
    assert (await debit(watched.client, wallet_id, reference="big", amount=5_000)).is_error
    again = await debit(watched.client, wallet_id, reference="r0", amount=100)
    assert again.is_success
    after = await _settled(watched)
    risen = partial(_risen, before, after)
    assert risen("wallet_outcomes_total", outcome="accepted", code="debited") == 3
    assert risen("wallet_outcomes_total", outcome="rejected", code="insufficient_funds") == 1
    assert risen("wallet_outcomes_total") == 4
    assert risen("wallet_entries_total") == 4
    assert risen("wallet_entries_total", type="command_rejected") == 1
    assert risen("wallet_published_entries_total") == 4
    assert risen("wallet_projected_entries_total", model="transactions") == 4
    assert risen("wallet_batch_commands_sum") == 5
    for stage in ("decode", "look_up", "decide", "hash", "append", "publish"):
        assert after.value("wallet_stage_seconds_count", stage=stage) > 0, stage


async def test_requests_are_counted_by_route_and_status_and_those_over_the_limit_as_429(
    watched: WatchedService,
) -> None:
    auth = await create_credentials(
        watched.deployment.settings.database_url, SANDBOX, requests_per_second=1
    )
    before = await watched.scrape("api")
    statuses = Counter[int]()
    while not statuses[429]:
        answer = await watched.client.get("/v1/wallets/wal_nobodys", auth=auth)
        statuses[answer.status_code] += 1
    after = await watched.scrape("api")
    route = {"route": "/v1/wallets/{wallet_id}", "method": "GET"}
    for status, count in statuses.items():
        risen = _risen(before, after, "wallet_http_requests_total", status=status, **route)
        assert risen == count, status
    asked = _risen(before, after, "wallet_http_request_seconds_count", **route)
    assert asked == statuses.total()
    assert after.value("wallet_http_requests_under_way") == 0
