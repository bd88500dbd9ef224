"""Commands that another partitioner put elsewhere get home, and their receipts follow."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from engine.intake import FORWARDED_HEADER, Stray
from engine.log import ShardLog
from engine.producing import Forwarder
from engine.receipts import Accepted, DeadLettered, Receipt, resolve
from engine.topology import home
from schemas.commands import decode_command
from tests.support.engines import Service
from tests.support.payloads import create, topup

pytestmark = pytest.mark.parametrize("partitions", [4], indirect=True)
W = "wal_a1"
HOME = home(W, 4)
AWAY = (HOME + 1) % 4


async def outcome(running: Service, command: bytes, place: tuple[int, int]) -> Any:
    return await resolve(running.database, Receipt(decode_command(command), *place))


async def test_strays_are_decided_at_home_and_receipts_follow(running: Service) -> None:
    commands = [create(W), *(topup(W, f"t{number}", 5) for number in range(5))]
    async with running.engine():
        places = [await running.send(command, partition=AWAY) for command in commands]
        await running.decided()
        outcomes = [
            await outcome(running, command, place)
            for command, place in zip(commands, places, strict=True)
        ]
    entries = await running.entries(HOME)
    assert [entry.event.reference for entry in entries] == ["create", *(f"t{n}" for n in range(5))]
    assert [found.entry for found in outcomes] == entries
    assert all(isinstance(found, Accepted) for found in outcomes)
    assert await running.entries(AWAY) == []
    forwards = await running.database.fetch('SELECT * FROM forwards ORDER BY "offset"')
    assert [(row["shard"], row["offset"], row["home"]) for row in forwards] == [
        (*place, HOME) for place in places
    ]
    records = (await running.records(running.settings.commands_topic))[HOME]
    for record, place in zip(records, places, strict=True):
        assert record.headers == ((FORWARDED_HEADER, b"%d:%d" % place),)
        assert record.key == W.encode()


async def test_what_was_forwarded_and_is_not_at_home_goes_no_further(running: Service) -> None:
    headers = [(FORWARDED_HEADER, b"0:7")]
    async with running.engine():
        place = await running.send(create(W), partition=AWAY, headers=headers)
        await running.decided()
        found = await outcome(running, create(W), place)
    assert isinstance(found, DeadLettered)
    assert (found.shard, found.offset, found.reason) == (*place, "misrouted")
    assert await running.entries() == []


@pytest.mark.parametrize("failing", ["forward", "append"])
async def test_a_stray_is_at_home_before_its_offset_is_passed(
    running: Service, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    calls: list[int] = []
    forward, append = Forwarder.forward, ShardLog.append

    async def broken_forward(self: Forwarder, strays: Sequence[Stray]) -> list[int]:
        calls.append(len(strays))
        if len(calls) == 1 and failing == "forward":
            raise KafkaError("not acknowledged")
        return await forward(self, strays)

    async def broken_append(self: ShardLog, batch: Any) -> None:
        assert not batch.forwards or calls, "the fence came before the acknowledgement"
        if len(calls) == 1 and failing == "append" and batch.forwards:
            raise ConnectionResetError("crashed between both")
        await append(self, batch)

    monkeypatch.setattr(Forwarder, "forward", broken_forward)
    monkeypatch.setattr(ShardLog, "append", broken_append)
    async with running.engine():
        place = await running.send(create(W), partition=AWAY)
        await running.decided()
        found = await outcome(running, create(W), place)
    assert len(calls) == 2
    assert isinstance(found, Accepted)
    assert len(await running.entries()) == 1
    copies = (await running.records(running.settings.commands_topic))[HOME]
    assert len(copies) == (1 if failing == "forward" else 2)


async def test_a_stray_and_the_same_command_at_home_are_one(running: Service) -> None:
    async with running.engine():
        at_home = await running.send(create(W), partition=HOME)
        away = await running.send(create(W), partition=AWAY)
        await running.decided()
        first = await outcome(running, create(W), at_home)
        second = await outcome(running, create(W), away)
    assert first.entry == second.entry
    assert len(await running.entries()) == 1
