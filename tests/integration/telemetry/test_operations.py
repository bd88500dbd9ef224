"""What alerts, dashboard and documents name is what the processes serve."""

import re

import pytest_asyncio
from promql_parser import MatchOp

from tests.support.money_calls import debit, open_wallet
from tests.support.polling import poll_async
from tests.support.promql import OPERATIONS, SCRAPED, labels, selectors, shown
from tests.support.scrapes import Scrape
from tests.support.watched_service import KINDS, WatchedService

BY_CHANCE = {"status"}
"""Labels whose values are what has happened so far: not every status has been answered with."""

BY_PROMETHEUS = {"up"}


@pytest_asyncio.fixture(scope="module")
async def served(watched: WatchedService) -> dict[str, Scrape]:
    """What each kind of process serves once it has done something."""
    wallet_id = await open_wallet(watched.client, balance=1_000)
    await debit(watched.client, wallet_id)
    await watched.deployment.until_settled()
    # the topic's end is asked for now and then
    await poll_async(lambda: _knows_lag(watched))
    return {kind: await watched.scrape(kind) for kind in KINDS}


async def _knows_lag(watched: WatchedService) -> bool:
    return "wallet_shard_lag_records" in (await watched.scrape("engine")).names


def _all(served: dict[str, Scrape]) -> Scrape:
    return sum(served.values(), Scrape(()))


def test_every_series_of_alerts_and_dashboard_is_served(served: dict[str, Scrape]) -> None:
    scrape = _all(served)
    for each in shown():
        for selector in selectors(each.expression):
            if selector.name in BY_PROMETHEUS:
                continue
            series = scrape.labels_of(selector.name)
            assert series, f"{each.place}: no process serves {selector.name}"
            for matcher in selector.matchers.matchers:
                if matcher.name in SCRAPED:
                    continue
                values = {found.get(matcher.name) for found in series}
                assert None not in values, f"{each.place}: {selector.name} has no {matcher.name}"
                assert matcher.op in (MatchOp.Equal, MatchOp.Re)
                found = [value for value in values if re.fullmatch(matcher.value, str(value))]
                assert found or matcher.name in BY_CHANCE, f"{each.place}: {matcher}"


def test_labels_that_are_grouped_by_and_shown_are_there(served: dict[str, Scrape]) -> None:
    scrape = _all(served)

    def labels_of(name: str) -> set[str]:
        found = [set(series) for series in scrape.labels_of(name)]
        return set(SCRAPED).union(*found)

    for each in shown():
        assert each.named_labels <= labels(each.expression, labels_of), each.place


def _documented() -> dict[tuple[str, str], set[str]]:
    text = (OPERATIONS / "monitoring.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(wallet_\w+)` \|([^|]*)\| (\w+) \|", text, re.MULTILINE)
    return {(name, kind): set(re.findall(r"\w+", told)) for name, told, kind in rows}


def test_the_documented_metrics_are_those_that_each_process_serves(
    served: dict[str, Scrape],
) -> None:
    found: dict[tuple[str, str], set[str]] = {}
    everywhere = set.intersection(*(scrape.names for scrape in served.values()))
    for kind, scrape in served.items():
        for sample in scrape.samples:
            if sample.name.startswith("wallet_"):
                name = re.sub("_(bucket|count|sum)$", "", sample.name)
                of = "all" if sample.name in everywhere else {"api": "API"}.get(kind, kind)
                found.setdefault((name, of), set()).update(set(sample.labels) - {"le"})
    assert found == _documented()


def test_no_label_has_the_id_of_anything(
    watched: WatchedService, served: dict[str, Scrape]
) -> None:
    known = re.compile(r"(wal|mch|cus|key|txn|top|evt|pay)_[A-Za-z0-9]")
    for sample in _all(served).samples:
        for value in sample.labels.values():
            assert not known.search(value), sample
    paths = {series["route"] for series in served["api"].labels_of("wallet_http_requests_total")}
    assert "/v1/wallets/{wallet_id}/debit" in paths
