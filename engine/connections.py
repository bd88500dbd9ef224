"""What becomes of a connection to Kafka that is lost or given up, where aiokafka leaves it open.

The transports of uvloop raise RuntimeError for a write after their end; those of asyncio say nothing
and let the reader find out, which is all that aiokafka knows. The error would end the task that keeps a
client's metadata up to date, and the client would wait for ever for who leads and coordinates now.

A client that is cancelled while it asks its first broker for the others forgets that connection.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send = AIOKafkaConnection.send
_send_sasl_token = AIOKafkaConnection._send_sasl_token  # noqa: SLF001


def mend_connections() -> None:
    """Have every client of this process close what it lost or gives up."""
    AIOKafkaConnection.send = send
    AIOKafkaConnection._send_sasl_token = send_sasl_token  # noqa: SLF001


def send(connection: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:
    try:
        answer = _send(connection, *arguments, **options)
    except RuntimeError as error:
        raise _lost(connection, error) from error
    is_kept = connection._on_close_cb is not None  # noqa: SLF001
    return answer if is_kept else _answer_or_close(connection, answer)


def send_sasl_token(connection: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:
    try:
        return _send_sasl_token(connection, *arguments, **options)
    except RuntimeError as error:
        raise _lost(connection, error) from error


async def _answer_or_close(connection: AIOKafkaConnection, answer: Awaitable[Any]) -> Any:
    try:
        return await answer
    except asyncio.CancelledError:
        connection.close()
        raise


def _lost(connection: AIOKafkaConnection, error: RuntimeError) -> KafkaConnectionError:
    connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
    return KafkaConnectionError(f"Connection at {connection.host}:{connection.port} lost: {error}")
