"""Of a part of the time a bundle holds what is within, and one change before and one after it."""

import json

import pytest

from audit.bundles import Period
from audit.wallet_history import _decoder, _Edges
from schemas.instants import Instant
from tests.support.bundle_forgeries import LOG, MINE, TIMES


def taken(start, end):
    period = Period(
        *(None if text is None else Instant.parse(text).plain() for text in (start, end))
    )
    edges, passed = _Edges(period), []
    for position in LOG.positions(MINE):
        data = LOG.entries[position]
        passed += edges.take(_decoder.decode(data), data)
    return [data for _, data in [*passed, *edges.rest()]]


@pytest.mark.parametrize("start", [None, *TIMES, "2999-01-01T00:00:00Z"])
@pytest.mark.parametrize("end", [None, "2000-01-01T00:00:00Z", *TIMES])
def test_what_a_part_of_the_time_holds(start, end):
    if start is not None and end is not None and start >= end:
        return
    expected = LOG.bundle(MINE, start, end)["entries.jsonl"].splitlines()

    assert taken(start, end) == expected


def test_a_refusal_is_at_no_edge():
    documents = [json.loads(LOG.entries[position]) for position in LOG.positions(MINE)]
    refusals = [d for d in documents if d["version"] is None]
    assert refusals
    for refusal in refusals:
        for start, end in ((TIMES[-1], None), (None, TIMES[0])):
            outside = [json.loads(data) for data in taken(start, end)]
            moment = refusal["occurred_at"]
            if (start and moment < start) or (end and moment >= end):
                assert refusal not in outside
