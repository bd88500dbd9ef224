"""The API's metrics: as many series as there are routes, whatever is asked for."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from api.errors import CommandSetAsideError, OutcomeUnknownError
from api.telemetry.metrics import ApiMetrics
from tests.support.scrapes import Scrape, scrape_of


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> ApiMetrics:
    return ApiMetrics(registry)


def _requests(scrape: Scrape) -> list[tuple[str, str, str]]:
    return [
        (labels["route"], labels["method"], labels["status"])
        for labels in scrape.labels_of("wallet_http_requests_total")
    ]


def test_what_callers_write_makes_no_series(
    metrics: ApiMetrics, registry: CollectorRegistry
) -> None:
    for number in range(50):
        scope: Any = {"method": f"M{number}", "path": f"/{number}"}
        metrics.request(scope)(404, 0.1)
    assert _requests(scrape_of(registry)) == [("unknown", "other", "404")]


def test_requests_are_under_way_until_they_are_answered(
    metrics: ApiMetrics, registry: CollectorRegistry
) -> None:
    scope: Any = {"method": "GET", "path_template": "/v1/wallets"}
    answered = metrics.request(scope)
    assert scrape_of(registry).value("wallet_http_requests_under_way") == 1
    answered(None, 0.1)
    assert scrape_of(registry).value("wallet_http_requests_under_way") == 0
    assert _requests(scrape_of(registry)) == [("/v1/wallets", "GET", "none")]


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (None, "accepted"),
        (OutcomeUnknownError(), "unknown"),
        (CommandSetAsideError(), "set_aside"),
        (ValueError(), "failed"),
    ],
    ids=["accepted", "unknown", "set aside", "a defect"],
)
def test_each_end_of_a_command_is_counted_as_what_it_is(
    metrics: ApiMetrics, registry: CollectorRegistry, raised: Exception | None, outcome: str
) -> None:
    def carry() -> None:
        with metrics.carrying() as carried:
            if raised is not None:
                raise raised
            carried("accepted")

    if raised is None:
        carry()
    else:
        with pytest.raises(type(raised)):
            carry()
    scrape = scrape_of(registry)
    assert scrape.value("wallet_command_seconds_count", outcome=outcome) == 1
    assert scrape.value("wallet_command_seconds_count") == 1
