"""A connection to Kafka that is lost or given up is closed, and its owner told.

uvloop's transports raise RuntimeError on a write after their end. In aiokafka that ended the task that
keeps up who leads what: the engine waited for a coordinator for good, and left a traceback.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.metadata import MetadataRequest

from engine.kafka import client_options
from engine.settings import Settings

METADATA_API, VERSIONS_API = 3, 18
ECHOED = b"credentials"


@pytest.mark.parametrize(
    "write",
    [
        lambda connection: connection.send(MetadataRequest([])),
        lambda connection: connection._send_sasl_token(ECHOED),
    ],
    ids=["request", "credentials"],
)
def test_what_is_written_to_a_lost_connection(
    write: Callable[[AIOKafkaConnection], Awaitable[Any]],
) -> None:
    reasons = []

    async def scenario(connection: AIOKafkaConnection) -> None:
        connection._on_close_cb = lambda _, reason: reasons.append(reason.name)
        connection._writer.transport.abort()
        while connection.connected():  # noqa: ASYNC110  # there is no event
            await asyncio.sleep(0)
        assert connection._writer is not None, "its end has been noticed already"

        with pytest.raises(KafkaConnectionError, match="lost"):
            await write(connection)

    uvloop.run(on_a_connection(scenario))
    assert reasons == ["CONNECTION_BROKEN"]


def test_a_connection_that_nobody_keeps_is_closed_when_its_request_is_given_up() -> None:
    async def scenario(connection: AIOKafkaConnection) -> None:
        asking = asyncio.create_task(connection.send(ApiVersionRequest()))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()
        assert not connection.connected()

    uvloop.run(on_a_connection(scenario))


def test_a_connection_that_is_kept_outlasts_a_request_that_is_given_up() -> None:
    async def scenario(connection: AIOKafkaConnection) -> None:
        connection._on_close_cb = lambda *_: None
        asking = asyncio.create_task(connection.send(ApiVersionRequest()))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        assert connection.connected()

    uvloop.run(on_a_connection(scenario))


def test_answers_come_on_a_connection_that_is_there() -> None:
    async def scenario(connection: AIOKafkaConnection) -> None:
        assert await connection._send_sasl_token(ECHOED) == ECHOED

    uvloop.run(on_a_connection(scenario))


async def on_a_connection(scenario: Callable[[AIOKafkaConnection], Awaitable[None]]) -> None:
    """Run a scenario on a connection of our clients to something that echoes credentials only."""
    client_options(Settings(kafka_bootstrap="127.0.0.1:9092"))
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = Connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            await connection.connect()
            await scenario(connection)
    finally:
        server.close()
        connection.close()


class Connection(AIOKafkaConnection):
    async def _do_version_lookup(self) -> None:
        self._versions = {METADATA_API: (0, 5), VERSIONS_API: (0, 2)}


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        if data.endswith(ECHOED):
            writer.write(data)
    writer.close()
