"""A retry of a dead letter says when Kafka does not take it, rather than wait with it for ever."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from cli import dead_letters
from cli.errors import KafkaUnreachableError
from engine.settings import Settings


class SilentProducer:
    """Sends to a broker that went away: an idempotent producer tries for ever."""

    async def send_and_wait(self, *_arguments, **_options):
        await asyncio.Event().wait()


@asynccontextmanager
async def to_nobody(_settings, **_options):
    yield SilentProducer()


async def four_partitions(_settings):
    return 4


async def test_a_record_that_is_not_acknowledged_in_time(monkeypatch):
    monkeypatch.setattr(dead_letters, "commands_partitions", four_partitions)
    monkeypatch.setattr(dead_letters, "producing", to_nobody)
    monkeypatch.setattr(dead_letters, "ACKNOWLEDGE_TIMEOUT_S", 0.01)
    async with asyncio.timeout(10):
        with pytest.raises(KafkaUnreachableError, match="can't reach Kafka"):
            await dead_letters.resend(Settings(), None, b"{}")
