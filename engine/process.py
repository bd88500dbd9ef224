"""The engine as a process: start, work until told to stop, drain."""

import asyncio
import logging
import os
import signal
import socket

import uvloop
from aiokafka.errors import KafkaError

from engine.consumer import CommandConsumer
from engine.errors import SetupError
from engine.fit import register_topology
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
    owner = f"{socket.gethostname()}:{os.getpid()}"
    try:
        partitions = await register_topology(settings)
        consumer = CommandConsumer(settings, partitions, owner)
        await consumer.start()
    except (KafkaError, OSError, TimeoutError) as error:
        raise SetupError(
            f"Kafka at {settings.kafka_bootstrap} or the database does not answer ({error}): check"
            " WALLET_KAFKA_BOOTSTRAP and WALLET_DATABASE_URL, and that both are up."
        ) from error
    logger.info("engine_started owner=%s group=%s", owner, settings.group)
    try:
        await stop.wait()
        logger.info("engine_stopping owner=%s", owner)
    finally:
        await consumer.stop()
    logger.info("engine_stopped owner=%s", owner)
