"""The engine as a process: start, work until told to stop, drain."""

import asyncio
import logging
import os
import signal
import socket
from contextlib import suppress

import uvloop
from aiokafka.errors import KafkaError

from engine.consumer import CommandConsumer
from engine.database import DATABASE_FAILURES
from engine.errors import SetupError
from engine.fit import register_topology
from engine.observing import observing
from engine.settings import Settings

logger = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. Raises SetupError if the engine cannot start."""
    uvloop.run(_run(settings))


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopped = asyncio.create_task(stop.wait())
    working = asyncio.create_task(work(settings, f"{socket.gethostname()}:{os.getpid()}", stop))
    await asyncio.wait({stopped, working}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


async def work(settings: Settings, owner: str, stop: asyncio.Event) -> None:
    """Start and work until cancelled, which may also come while the start is waiting.

    `stop` is set by then: up to Python 3.11 asyncio.wait_for, and always aiokafka when it closes a
    client, can swallow a cancellation.
    """
    try:
        partitions = await register_topology(settings)
    except KafkaError as error:
        raise _kafka_away(settings, error) from error
    except DATABASE_FAILURES as error:
        raise SetupError(
            f"PostgreSQL does not answer, or refuses us ({str(error) or 'timeout'}): check"
            " WALLET_DATABASE_URL, and that the database is up."
        ) from error
    if stop.is_set():
        return
    async with observing(settings, partitions) as observer:
        consumer = CommandConsumer(settings, partitions, owner, observer=observer)
        try:
            await consumer.start()
            logger.info("engine_started owner=%s group=%s", owner, settings.group)
            if not stop.is_set():
                await asyncio.Event().wait()
        except KafkaError as error:
            raise _kafka_away(settings, error) from error
        finally:
            logger.info("engine_stopping owner=%s", owner)
            await consumer.stop()
            logger.info("engine_stopped owner=%s", owner)


def _kafka_away(settings: Settings, error: KafkaError) -> SetupError:
    return SetupError(
        f"Kafka does not answer at {settings.kafka_bootstrap} ({error}): check"
        " WALLET_KAFKA_BOOTSTRAP, and that the broker is up."
    )
