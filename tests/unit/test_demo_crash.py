"""The demo kills the engine that has most to do, in time, and owns up if it was too late."""

from typing import Any

import pytest

from cli.demo.crash import crash_an_engine
from cli.demo.watch import Decided
from cli.errors import DemoFailedError

OWNERS = {0: "host:11", 1: "host:22"}


class Scripted:
    """A service, its load and its watch in one: `decided` goes through the script."""

    def __init__(self, total: int, acknowledged: int, script: list[dict[int, int]]) -> None:
        self.lines = [None] * total
        self.acknowledged = acknowledged
        self.killed: list[str] = []
        self._script = script

    def check(self) -> None:
        pass

    async def decided(self) -> Decided:
        return Decided(self._script.pop(0), OWNERS)

    async def kill_engine(self, owner: str) -> str:
        self.killed.append(owner)
        return owner


async def crash(scripted: Any) -> Any:
    return await crash_an_engine(scripted, scripted, scripted)


async def test_the_owner_of_the_shard_that_is_least_far_is_killed():
    scripted = Scripted(100, 80, [{0: 30, 1: 10}, {0: 31, 1: 10}])
    assert (await crash(scripted)).undecided == 39
    assert scripted.killed == ["host:22"]


async def test_nothing_is_killed_before_anything_is_decided():
    scripted = Scripted(100, 80, [{0: 0, 1: 0}, {0: 1, 1: 0}, {0: 1, 1: 0}])
    assert (await crash(scripted)).undecided == 79


async def test_nothing_is_killed_while_little_is_acknowledged():
    scripted = Scripted(100, 30, [{0: 1, 1: 0}])
    with pytest.raises(IndexError):
        await crash(scripted)
    assert scripted.killed == []


async def test_too_much_decided_before_the_kill_is_a_failure():
    scripted = Scripted(100, 100, [{0: 40, 1: 41}])
    with pytest.raises(DemoFailedError, match="81 of 100 commands were decided before"):
        await crash(scripted)
    assert scripted.killed == []


async def test_too_little_undecided_once_the_engine_is_gone_is_a_failure():
    scripted = Scripted(100, 100, [{0: 30, 1: 30}, {0: 41, 1: 40}])
    with pytest.raises(DemoFailedError, match="only 19 of 100"):
        await crash(scripted)
