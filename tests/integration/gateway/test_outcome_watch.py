"""Waiting for outcomes: by hints, without them, and through the loss of the connection."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import pytest

from api.gateway import outcomes
from api.gateway.outcomes import OutcomeWatch
from engine.hints import Hint
from engine.migrate import migrate
from engine.receipts import Accepted, Outcome, OutcomeMissingError, Receipt
from engine.receipts import resolve_many as really_resolve
from engine.settings import Settings
from projections.listening import Listener
from schemas.commands import Debit
from schemas.entries import encode_entry
from tests.support.databases import connection_to
from tests.support.history import HistoryBuilder
from tests.support.polling import poll, poll_async

NEVER_S = 3600.0
SOON_S = 20.0


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    await migrate(database_url)
    async with connection_to(database_url) as connection:
        yield connection


@asynccontextmanager
async def _watching(database_url: str, poll_s: float = NEVER_S) -> AsyncIterator[OutcomeWatch]:
    listener = Listener(database_url)
    watch = OutcomeWatch(Settings(database_url=database_url), listener, poll_s=poll_s)
    running = {asyncio.create_task(work) for work in (listener.run(), watch.run())}
    try:
        await _listens(database_url)
        yield watch
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


_LISTENERS = """
SELECT pid FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'wallet-api-listener'
   AND state = 'idle' AND query LIKE 'LISTEN%'
"""

_END = """
SELECT coalesce(bool_or(pg_terminate_backend(pid)), false) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = $1
"""


async def _listens(database_url: str) -> int:
    """The connection's process, once it listens."""
    connection = await asyncpg.connect(database_url)
    found: list[int] = []

    async def find() -> bool:
        found.extend(row["pid"] for row in await connection.fetch(_LISTENERS))
        return bool(found)

    try:
        await poll_async(find)
    finally:
        await connection.close()
    return found[0]


def _debit(number: int) -> Debit:
    return Debit(wallet_id="wal_a", reference=f"d{number}", amount=1)


def _history(debits: int) -> HistoryBuilder:
    """Offsets 0 and 1: wal_a with a balance of 100; from 2 on the debits."""
    history = HistoryBuilder().create("wal_a").topup("wal_a", 100, reference="t1")
    for number in range(debits):
        history.send(_debit(number))
    return history


def _ask(watch: OutcomeWatch, number: int) -> asyncio.Task[Outcome]:
    return asyncio.create_task(watch.of(Receipt(_debit(number), 0, 2 + number)))


async def _hint(connection: asyncpg.Connection, payload: str) -> None:
    await connection.execute("SELECT pg_notify('wallet_shards', $1)", payload)


async def _soon(asked: asyncio.Task[Outcome]) -> Outcome:
    async with asyncio.timeout(SOON_S):
        return await asked


async def test_a_hint_is_enough(database_url: str, connection: asyncpg.Connection) -> None:
    async with _watching(database_url) as watch:
        asked = _ask(watch, 0)
        await _history(1).write(connection)
        await _hint(connection, "0:3:3")
        outcome = await _soon(asked)
    assert isinstance(outcome, Accepted)
    assert outcome.entry.offset == 2


async def test_a_hint_that_came_before_the_receipt_counts(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await _history(2).write(connection)
    async with _watching(database_url) as watch:
        await _hint(connection, "0:4:4")
        await poll(lambda: watch._hinted.get(0) == 4)
        assert isinstance(await _soon(_ask(watch, 1)), Accepted)


async def test_all_who_wait_are_answered_by_one_look(
    database_url: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    async def counted(on: asyncpg.Connection, receipts: Sequence[Receipt]) -> list[Outcome | None]:
        looks.append(len(receipts))
        return await really_resolve(on, receipts)

    monkeypatch.setattr(outcomes, "resolve_many", counted)
    async with _watching(database_url) as watch:
        asked = [_ask(watch, number) for number in range(50)]
        late = _ask(watch, 50)
        await _history(50).write(connection)
        await _hint(connection, "0:52:52")
        for each in asked:
            assert isinstance(await _soon(each), Accepted)
        assert looks == [50]
        assert not late.done()
        late.cancel()


async def test_without_any_hint_it_looks_by_itself(
    database_url: str, connection: asyncpg.Connection
) -> None:
    async with _watching(database_url, poll_s=0.1) as watch:
        asked = _ask(watch, 0)
        await _history(1).write(connection)
        assert isinstance(await _soon(asked), Accepted)


async def test_what_is_no_hint_is_passed_over(
    database_url: str, connection: asyncpg.Connection
) -> None:
    async with _watching(database_url) as watch:
        asked = _ask(watch, 0)
        await _history(1).write(connection)
        for payload in ("", "0", "a:b:c", "0:3", "7:99:99"):
            await _hint(connection, payload)
        await _hint(connection, "0:3:3")
        assert isinstance(await _soon(asked), Accepted)


async def test_a_hint_that_runs_ahead_is_no_answer(
    database_url: str, connection: asyncpg.Connection
) -> None:
    async with _watching(database_url) as watch:
        asked = _ask(watch, 0)
        await _hint(connection, "0:3:3")
        await _hint(connection, "0:9:9")
        await asyncio.wait({asked}, timeout=0.2)
        assert not asked.done()
        await _history(1).write(connection)
        await _hint(connection, "0:3:3")
        assert isinstance(await _soon(asked), Accepted)


@pytest.mark.parametrize("session", ["wallet-api-listener", "wallet-api outcomes"])
async def test_it_outlives_its_connections(
    database_url: str, connection: asyncpg.Connection, session: str
) -> None:
    async def ended() -> bool:
        return await connection.fetchval(_END, session)

    async with _watching(database_url) as watch:
        asked = _ask(watch, 0)
        await _history(1).write(connection)
        await asyncio.wait({asked}, timeout=0.2)
        assert not asked.done()
        await poll_async(ended)
        # what was decided meanwhile, nobody told it
        assert isinstance(await _soon(asked), Accepted)


async def test_one_that_has_no_outcome_fails_alone(
    database_url: str, connection: asyncpg.Connection
) -> None:
    async with _watching(database_url) as watch:
        nowhere = asyncio.create_task(
            watch.of(Receipt(Debit(wallet_id="wal_a", reference="gone", amount=1), 0, 2))
        )
        asked = _ask(watch, 0)
        await _history(1).write(connection)
        await _hint(connection, "0:3:3")
        assert isinstance(await _soon(asked), Accepted)
        with pytest.raises(OutcomeMissingError):
            await _soon(nowhere)


async def test_an_outcome_that_a_newer_release_wrote_fails_alone(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await _history(2).write(connection)
    await connection.execute("ALTER TABLE log DISABLE TRIGGER USER")
    changed = await connection.execute(
        "UPDATE log SET data = convert_to(replace(convert_from(data, 'UTF8'), '\"debited\"',"
        " '\"sponsored\"'), 'UTF8') WHERE position = 2"
    )
    assert changed == "UPDATE 1"
    async with _watching(database_url) as watch:
        unreadable, asked = _ask(watch, 0), _ask(watch, 1)
        await _hint(connection, "0:4:4")
        assert isinstance(await _soon(asked), Accepted)
        with pytest.raises(msgspec.ValidationError):
            await _soon(unreadable)


async def test_an_outcome_in_the_hint_is_the_answer_without_a_look(
    database_url: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def looks(*_: object) -> None:
        raise AssertionError("it was looked up")

    async with _watching(database_url) as watch:
        asked, other = _ask(watch, 0), _ask(watch, 1)
        await asyncio.sleep(0)
        history = _history(2)
        await history.write(connection)
        monkeypatch.setattr(outcomes, "resolve_many", looks)
        await _hint(connection, Hint(0, 3, 3, {2: encode_entry(history.entries[2])}).to_text())
        outcome = await _soon(asked)
        assert isinstance(outcome, Accepted)
        assert outcome.entry.offset == 2
        assert not outcome.duplicate
        assert not other.done()
        await _hint(connection, Hint(0, 4, 4, {3: encode_entry(history.entries[3])}).to_text())
        assert (await _soon(other)).entry.offset == 3  # type: ignore[union-attr]


async def test_an_outcome_that_was_told_before_the_receipt_is_remembered(
    database_url: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def looks(*_: object) -> None:
        raise AssertionError("it was looked up")

    async with _watching(database_url) as watch:
        history = _history(1)
        await history.write(connection)
        await _hint(connection, Hint(0, 3, 3, {2: encode_entry(history.entries[2])}).to_text())
        await poll(lambda: watch._hinted.get(0) == 3)
        monkeypatch.setattr(outcomes, "resolve_many", looks)
        assert isinstance(await _soon(_ask(watch, 0)), Accepted)


async def test_an_outcome_in_the_hint_that_a_newer_release_wrote_fails_alone(
    database_url: str, connection: asyncpg.Connection
) -> None:
    history = _history(2)
    await history.write(connection)
    entries = [encode_entry(entry) for entry in history.entries]
    newer = entries[2].replace(b'"debited"', b'"sponsored"')
    async with _watching(database_url) as watch:
        unreadable, asked = _ask(watch, 0), _ask(watch, 1)
        await asyncio.sleep(0)
        await _hint(connection, Hint(0, 4, 4, {2: newer, 3: entries[3]}).to_text())
        assert isinstance(await _soon(asked), Accepted)
        with pytest.raises(msgspec.ValidationError):
            await _soon(unreadable)
