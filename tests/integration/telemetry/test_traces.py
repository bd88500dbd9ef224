"""Traces: what a request causes, through every process, under one id."""

from tests.support.money_calls import debit, open_wallet
from tests.support.polling import poll
from tests.support.span_collector import CollectedSpan
from tests.support.topics import read_topic
from tests.support.watched_service import WatchedService

ROUTE = "POST /v1/wallets/{wallet_id}/debit"


def _debits(watched: WatchedService) -> list[CollectedSpan]:
    return [span for span in watched.collector.spans if span.name == ROUTE]


async def _traced_debit(watched: WatchedService, wallet_id: str, **fields: object):
    """The spans of one debit, once its entry is published."""
    before = len(_debits(watched))
    answer = await debit(watched.client, wallet_id, **fields)
    await poll(lambda: len(_debits(watched)) > before)
    request = _debits(watched)[-1]
    events = watched.deployment.settings.events_topic
    await poll(
        lambda: any(
            span.name == f"send {events}" for span in watched.collector.trace(request.trace_id)
        )
    )
    return answer, watched.collector.trace(request.trace_id)


async def test_one_debit_is_one_trace_from_the_request_to_the_published_entry(
    watched: WatchedService,
) -> None:
    settings = watched.deployment.settings
    wallet_id = await open_wallet(watched.client, balance=10_000)
    answer, spans = await _traced_debit(watched, wallet_id)
    assert answer.status_code == 200
    assert [(span.service, span.name) for span in spans] == [
        ("wallet-api", ROUTE),
        ("wallet-api", f"send {settings.commands_topic}"),
        ("wallet-engine", f"process {settings.commands_topic}"),
        ("wallet-engine", f"send {settings.events_topic}"),
    ]
    assert [span.parent_id for span in spans] == ["", *(span.span_id for span in spans[:-1])]
    request, _, decision, publication = spans
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["wallet.request_id"] == answer.headers["x-request-id"]
    assert decision.attributes["wallet.outcome"] == "debited"
    assert decision.start_ns < decision.end_ns <= request.end_ns

    published = await read_topic(settings, settings.events_topic, settings.partitions)
    shard = int(publication.attributes["messaging.destination.partition.id"])
    record = published[shard][int(publication.attributes["wallet.position"])]
    assert record.key == wallet_id.encode()
    traceparent = dict(record.headers)["traceparent"].decode()
    assert traceparent.split("-")[1:3] == [publication.trace_id, publication.span_id]
