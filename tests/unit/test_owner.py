"""When a partition's owner claims, and when it leaves the shard alone."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from engine import owner as owner_module
from engine.batch import Tip
from engine.errors import LeaseLostError, ShardHaltedError
from engine.owner import ShardOwner
from tests.support.batches import start
from tests.support.polling import poll


class Partition:
    """What the consumer would do, written down."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.member = True

    def seek(self, offset: int) -> None:
        self.done.append(f"seek {offset}")

    def pause(self) -> None:
        self.done.append("pause")

    def resume(self) -> None:
        self.done.append("resume")

    async def ends(self) -> tuple[int, int]:
        return 0, 0

    async def prove(self, offset: int) -> None:
        self.done.append(f"prove {offset}")
        if not self.member:
            raise ConnectionError("not a member")


class Log:
    def __init__(self) -> None:
        self.closed = False
        self.halted: str | None = None

    def close(self) -> None:
        self.closed = True

    async def halt(self, reason: str) -> None:
        self.halted = reason

    async def next_offset(self) -> int:
        return 9


class Work:
    """A lease that works until it is stopped, or told to fail."""

    def __init__(self, at: int = 7) -> None:
        self.committed: Tip = start(offset=at)
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.when_stopped: Exception | None = None
        self.delivered: list[Any] = []

    def deliver(self, records: Any) -> None:
        self.delivered.append(records)

    def stop(self) -> None:
        if self.when_stopped is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(self.when_stopped)

    async def run(self) -> None:
        await self.ended


class House:
    """An owner with all that it has to do with."""

    def __init__(self, lease: Callable[[], Work] = Work) -> None:
        self.partition = Partition()
        self.logs: list[Log] = []
        self.leases: list[Work] = []
        self.make = lease
        self.refuse: Exception | None = None
        owner: Any = ShardOwner
        self.owner: ShardOwner = owner(3, self.partition, self.connect, self.claim)

    async def connect(self, _: int) -> Log:
        self.logs.append(Log())
        return self.logs[-1]

    async def claim(self, _: Log) -> Work:
        self.partition.done.append("claim")
        if self.refuse is not None:
            raise self.refuse
        self.leases.append(self.make())
        return self.leases[-1]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_module, "_BACK_OFF_S", (0.001,))


async def test_the_partition_is_sought_and_resumed_only_after_the_claim() -> None:
    house = House()
    house.owner.deliver(["too early"])
    house.owner.start()
    await poll(lambda: house.owner.committed)
    assert house.partition.done == ["claim", "seek 7", "resume"]
    house.owner.deliver(["records"])
    assert house.leases[0].delivered == [["records"]]
    await house.owner.stop()
    assert house.logs[0].closed
    assert house.partition.done[-1] == "pause"


@pytest.mark.parametrize("end", [LeaseLostError("fenced"), ConnectionResetError()])
async def test_whoever_lost_its_lease_claims_again_only_as_a_proven_member(end: Exception) -> None:
    house = House()
    house.partition.member = False
    house.owner.start()
    await poll(lambda: house.leases)
    house.leases[0].ended.set_exception(end)
    await poll(lambda: house.partition.done.count("prove 9") > 3)
    assert house.partition.done.count("claim") == 1
    assert all(log.closed for log in house.logs[:-1])
    house.partition.member = True
    await poll(lambda: len(house.leases) == 2)
    assert house.partition.done.count("claim") == 2
    await house.owner.stop()


async def test_a_lease_that_fails_while_it_is_stopped_is_not_claimed_again() -> None:
    house = House()
    house.owner.start()
    await poll(lambda: house.owner.committed)
    house.leases[0].when_stopped = ConnectionResetError()
    await asyncio.wait_for(house.owner.stop(), 1)
    assert len(house.leases) == 1


@pytest.mark.parametrize("step", ["connect", "claim"])
async def test_a_cancellation_that_is_lost_before_there_is_a_lease(step: str) -> None:
    house, reached = House(), asyncio.Event()
    go_on = getattr(house, step)

    async def swallow(*arguments: Any) -> Any:
        reached.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return await go_on(*arguments)

    owner: Any = ShardOwner
    steps = {"connect": house.connect, "claim": house.claim} | {step: swallow}
    house.owner = owner(3, house.partition, steps["connect"], steps["claim"])
    house.owner.start()
    await reached.wait()
    await asyncio.wait_for(house.owner.stop(), 1)
    assert house.logs[0].closed
    assert "resume" not in house.partition.done


async def test_a_claim_that_fails_is_tried_until_it_holds() -> None:
    house = House()
    house.refuse = ConnectionRefusedError()
    house.owner.start()
    await poll(lambda: house.partition.done.count("claim") > 3)
    # it may have been made, and what is looked at after it cannot be had without the broker
    assert house.partition.done[:4] == ["claim", "pause", "prove 9", "claim"]
    assert all(log.closed for log in house.logs[:-1])
    house.refuse = None
    await poll(lambda: house.leases)
    await house.owner.stop()


async def test_a_halted_shard_stays_halted_and_says_why() -> None:
    house = House()
    house.refuse = ShardHaltedError("some_code", "What to do.")
    house.owner.start()
    await poll(lambda: house.logs and house.logs[0].closed)
    assert house.logs[0].halted == "some_code: What to do."
    await asyncio.sleep(0.05)
    assert house.partition.done.count("claim") == 1
    await house.owner.stop()


async def test_an_owner_that_never_gets_its_claim_can_be_stopped() -> None:
    house = House()

    async def never(_: Log) -> Work:
        await asyncio.Event().wait()
        raise AssertionError

    owner: Any = ShardOwner
    stuck: ShardOwner = owner(3, house.partition, house.connect, never)
    stuck.start()
    await poll(lambda: house.logs)
    await asyncio.wait_for(stuck.stop(), 20)
    assert house.logs[0].closed


async def test_a_cancellation_that_nobody_asked_for_ends_the_lease_and_not_the_owner() -> None:
    house = House()
    house.owner.start()
    await poll(lambda: house.owner.committed)
    house.leases[0].ended.cancel()
    await poll(lambda: len(house.leases) == 2)
    await house.owner.stop()
