"""Hints: heard after the commit, by everybody who listens, and lost with the connection."""

import asyncio
from typing import Any

import asyncpg
import pytest

from engine.notifier import CHANNEL, Notifier
from projections.signals import MODELS_CHANNEL, READERS_CHANNEL, Signals
from tests.conformance.log.databases import LogDatabase, shard_log
from tests.conformance.log.writing import Writer
from tests.support.payloads import create
from tests.support.polling import poll

_NOTIFY = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"


class Heard(list[str]):
    """The payloads that a connection has heard, in order."""

    @classmethod
    async def on(cls, connection: asyncpg.Connection, channel: str = CHANNEL) -> "Heard":
        heard = cls()
        await connection.add_listener(channel, heard._hear)
        return heard

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self.append(str(payload))


async def test_all_who_listen_hear(database: LogDatabase) -> None:
    sender, near, far = [await database.connect() for _ in range(3)]
    heard = [await Heard.on(connection) for connection in (sender, near)]
    elsewhere = await Heard.on(far, "elsewhere")
    await sender.execute(_NOTIFY, CHANNEL, ["one", "two", "one"])
    await sender.execute(_NOTIFY, CHANNEL, ["one"])
    for each in heard:
        # those of one transaction that say the same are one
        await poll(lambda each=each: len(each) >= 3)
        assert each == ["one", "two", "one"]
    assert elsewhere == []
    for connection in (sender, near, far):
        await connection.close()


async def test_what_is_rolled_back_is_not_heard(database: LogDatabase) -> None:
    sender, listener = await database.connect(), await database.connect()
    heard = await Heard.on(listener)
    await sender.execute("BEGIN")
    await sender.execute(_NOTIFY, CHANNEL, ["never"])
    await sender.execute("ROLLBACK")
    await sender.execute("BEGIN")
    await sender.execute(_NOTIFY, CHANNEL, ["then"])
    assert heard == []
    await sender.execute("COMMIT")
    await poll(lambda: bool(heard))
    assert heard == ["then"]
    await sender.close()
    await listener.close()


async def test_a_payload_has_a_bound(database: LogDatabase) -> None:
    connection = await database.connect()
    heard = await Heard.on(connection)
    await connection.execute(_NOTIFY, CHANNEL, ["x" * 7_999])
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await connection.execute(_NOTIFY, CHANNEL, ["x" * 8_000])
    await poll(lambda: bool(heard))
    assert len(heard) == 1
    await connection.close()


async def test_a_listener_hears_of_its_end(database: LogDatabase) -> None:
    connection = await database.connect()
    ended = asyncio.Event()
    connection.add_termination_listener(lambda _: ended.set())
    connection.terminate()
    async with asyncio.timeout(10):
        await ended.wait()


async def test_the_engine_tells_of_each_batch(database: LogDatabase) -> None:
    listener = await database.connect()
    heard = await Heard.on(listener)
    notifier = Notifier(database.settings)
    with database.installed():
        running = asyncio.create_task(notifier.run())
        async with shard_log(database) as log:
            writer = await Writer.claiming(log)
            batch = await writer.append(create("wal_1"), create("wal_2"))
            notifier.moved(0, batch)
            await poll(lambda: bool(heard))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert heard[0].split("\n")[0] == "0:2:2"
    await listener.close()


async def test_the_projector_hears_of_readers_and_tells_of_the_models(
    database: LogDatabase,
) -> None:
    listener, own = await database.connect(), await database.connect()
    heard = await Heard.on(listener, MODELS_CHANNEL)
    looks: list[None] = []
    stop = asyncio.Event()
    signals = Signals(lambda: looks.append(None))
    running = asyncio.create_task(signals.run(own, stop))
    # once by itself when it begins
    await poll(lambda: len(looks) == 1)
    await listener.execute(_NOTIFY, READERS_CHANNEL, ["0"])
    await poll(lambda: len(looks) == 2)
    signals.model_moved(3)
    await poll(lambda: heard == ["3"])
    stop.set()
    await running
    await listener.close()
    await own.close()
