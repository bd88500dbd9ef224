"""Many who ask at the same time share one look at the database, and nothing that is no longer so."""

import asyncio
from typing import Any

import pytest

from api.access.scopes import SCOPES
from api.access.verified import AGE_S_MAX, VerifiedCredentials
from api.calls import Principal
from schemas.ids import Owner

PRINCIPAL = Principal(Owner("mch_1", "live"), "0123456789ab", frozenset(SCOPES), 100)
DIGEST = b"digest"
MANY = 50


class _Listener:
    """Lets whoever subscribes hear."""

    def __init__(self) -> None:
        self.begun: Any = None
        self.ended: Any = None

    def subscribe(self, _: object, *, begun: Any, ended: Any) -> None:
        self.begun, self.ended = begun, ended


class _Database:
    """Looks, one after the other, that end when they are let."""

    def __init__(self, verified: VerifiedCredentials) -> None:
        self.verified = verified
        self.looks = 0
        self.may_answer = asyncio.Event()
        self.failure: Exception | None = None

    async def verify(self) -> Principal:
        self.looks += 1
        changes = self.verified.changes
        await self.may_answer.wait()
        if self.failure is not None:
            raise self.failure
        self.verified.remember(DIGEST, PRINCIPAL, good_for_s=60, changes=changes)
        return PRINCIPAL

    def ask(self) -> asyncio.Task[Principal]:
        return asyncio.create_task(self.verified.find_out(DIGEST, self.verify))


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def listener() -> _Listener:
    return _Listener()


@pytest.fixture
def database(clock: _Clock, listener: _Listener) -> _Database:
    verified = VerifiedCredentials(clock)
    verified.subscribe_to(listener)  # type: ignore[arg-type]
    listener.begun()
    return _Database(verified)


async def _begin(database: _Database, count: int = 1) -> list[asyncio.Task[Principal]]:
    asking = [database.ask() for _ in range(count)]
    # a task begins at the next turn, and what it begins at the one after
    for _ in range(3):
        await asyncio.sleep(0)
    return asking


async def test_all_who_ask_at_once_share_one_look(database: _Database) -> None:
    asking = await _begin(database, MANY)
    database.may_answer.set()
    assert await asyncio.gather(*asking) == [PRINCIPAL] * MANY
    assert database.looks == 1
    assert database.verified.find(DIGEST) is PRINCIPAL


async def test_other_credentials_are_looked_up_by_themselves(database: _Database) -> None:
    asking = await _begin(database)
    other = asyncio.create_task(database.verified.find_out(b"other", database.verify))
    await asyncio.sleep(0)
    database.may_answer.set()
    await asyncio.gather(*asking, other)
    assert database.looks == 2


async def test_whoever_gives_up_takes_the_look_from_nobody(database: _Database) -> None:
    first, *others = await _begin(database, 3)
    first.cancel()
    others[0].cancel()
    database.may_answer.set()
    assert await others[1] == PRINCIPAL
    assert database.looks == 1
    assert first.cancelled()


async def test_what_began_before_a_change_is_for_nobody_who_asks_after_it(
    database: _Database,
) -> None:
    before = await _begin(database)
    database.verified.forget("ba9876543210")
    after = await _begin(database)
    assert database.looks == 2
    database.may_answer.set()
    await asyncio.gather(*before, *after)


async def test_a_look_that_takes_a_second_is_not_joined_any_more(
    database: _Database, clock: _Clock
) -> None:
    asking = await _begin(database)
    clock.now_s += AGE_S_MAX
    asking += await _begin(database)
    assert database.looks == 2
    database.may_answer.set()
    await asyncio.gather(*asking)


async def test_a_failure_is_told_once_and_the_others_ask_for_themselves(
    database: _Database,
) -> None:
    asking = await _begin(database, 3)
    database.failure = OSError("broken")
    database.may_answer.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in outcomes] == [OSError] * 3
    assert database.looks == 3


async def test_nothing_is_shared_while_changes_are_not_heard(
    database: _Database, listener: _Listener
) -> None:
    listener.ended()
    asking = await _begin(database, 2)
    assert database.looks == 2
    database.may_answer.set()
    await asyncio.gather(*asking)


async def test_a_look_that_has_ended_is_not_joined(database: _Database, clock: _Clock) -> None:
    database.may_answer.set()
    await asyncio.gather(*await _begin(database))
    clock.now_s += 0.5
    await asyncio.gather(*await _begin(database))
    assert database.looks == 2
