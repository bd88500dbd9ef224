"""Is any engine at work, which could append or publish while shards are rolled forward?"""

import asyncio
import time
from typing import Final

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from engine.kafka import client_options
from engine.rollforward.errors import EnginesRunningError
from engine.rollforward.restored_log import QUERIES
from engine.settings import Settings

_COORDINATOR_S: Final = 30.0
_POLL_S: Final = 0.2
_MEMBERS: Final = 5
"""Where a group's description has its members."""


async def refuse_beside_engines(settings: Settings, connection: asyncpg.Connection) -> None:
    """Raises EnginesRunningError for members of the group and for sessions in the database."""
    members = await _members(settings)
    sessions = await connection.fetchval(QUERIES["engine_sessions"])
    if members or sessions:
        raise EnginesRunningError(
            f"Engines are at work: group {settings.group} has {members} members, and {sessions}"
            " sessions of engines are connected to this database. Stop all of them, also those"
            " that hang (a stopped process publishes what it holds once it goes on), and run this"
            f" again; one that was killed leaves the group within {settings.session_timeout_ms / 1000:.0f} s."
        )


async def _members(settings: Settings) -> int:
    admin = AIOKafkaAdminClient(**client_options(settings))
    deadline = time.monotonic() + _COORDINATOR_S
    try:
        await admin.start()
        while True:
            try:
                described = await admin.describe_consumer_groups([settings.group])
                break
            except GroupCoordinatorNotAvailableError:
                # a cluster that has just started, or has had no group yet
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_POLL_S)
    finally:
        await admin.close()
    return sum(len(group[_MEMBERS]) for response in described for group in response.groups)
