"""Records as fuzzing found them, whole, cut and doubled: each has one outcome, no shard stops."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.fuzz.corpus import inputs
from tests.fuzz.targets import TARGETS
from tests.support.engines import Service
from tests.support.payloads import create, topup

W = "wal_a1"
# the client takes no record that has neither key nor value
_KEYS = [None, b"", W.encode(), b"\xff" * 300]
_HEADERS: list[Any] = [
    [],
    [("reply_to", b"wallet.events")],
    [("wallet-forwarded-from", b"9:9")],
    [("wallet-forwarded-from", b"\xff")],
    [("traceparent", b"00-zz")],
    [("", b""), ("\N{SNOWMAN}", b"\0"), ("content-type", b"x" * 2_000)],
]


def variants() -> Iterator[bytes | None]:
    yield None
    for target in TARGETS:
        for data in inputs(target):
            yield data
            yield data[: len(data) // 2]
            yield data + data


def _reference(event: Any) -> str | None:
    """Of a refusal too: whether a fuzzed record has closed the wallet first is chance."""
    command = getattr(event, "command", None)
    reference: str | None = getattr(command or event, "reference", None)
    return reference


@pytest.mark.parametrize("partitions", [4], indirect=True)
async def test_whatever_is_sent_the_shards_go_on(running: Service) -> None:
    rng = Random(5)
    sent = 0
    async with running.engine(batch_commands_max=100):
        await running.send_commands(create(W), wallet_id=W)
        for data in variants():
            await running.producer.send(
                running.settings.commands_topic,
                data,
                key=rng.choice(_KEYS if data is not None else _KEYS[1:]),
                partition=rng.randrange(4),
                headers=rng.choice(_HEADERS),
            )
            sent += 1
        await running.producer.flush()
        for shard in range(4):
            await running.send(topup(W, f"last{shard}", 1), partition=shard)
        await running.decided(timeout_s=60)
        rows = await running.database.fetch("SELECT halted, epoch FROM shards")
    assert [tuple(row) for row in rows] == [(None, 1)] * 4
    references = {_reference(entry.event) for entry in await running.entries()}
    assert {f"last{shard}" for shard in range(4)} <= references
    outcomes = await running.database.fetchval(
        'SELECT (SELECT count(DISTINCT (shard, "offset")) FROM dead_letters)'
        " + (SELECT count(*) FROM forwards)"
        " + (SELECT count(DISTINCT (shard, convert_from(data, 'UTF8')::jsonb -> 'offset'))"
        " FROM log)"
    )
    ends = await running.database.fetchval("SELECT sum(next_offset) FROM shards")
    repeats = ends - outcomes
    assert sent <= ends
    assert 0 <= repeats < sent / 2, "what is no repeat has an outcome"
