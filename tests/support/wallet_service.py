"""The whole service in the test's own process: an engine, a projector and an API over real HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from api.install import install
from cli.stack import Stack
from engine.consumer import CommandConsumer
from engine.fit import register_topology
from engine.settings import Settings
from schemas.ids import Owner
from tests.support.databases import connection_to, fresh_database
from tests.support.polling import poll_async
from tests.support.query_api import SECRET_KEYS, create_credentials, running_api
from tests.support.read_models import keeping_up
from tests.support.topics import TopicNames, create_topics, delete_topics

SANDBOX = Owner("mch_1", "sandbox")


@dataclass(frozen=True)
class WalletService:
    """`client` calls for `SANDBOX` with a key of all scopes."""

    settings: Settings
    client: httpx.AsyncClient

    @asynccontextmanager
    async def calling_as(self, owner: Owner, **key: Any) -> AsyncIterator[httpx.AsyncClient]:
        """A client with a key of its own."""
        auth = await create_credentials(self.settings.database_url, owner, **key)
        base_url = str(self.client.base_url)
        async with httpx.AsyncClient(base_url=base_url, timeout=30, auth=auth) as client:
            yield client

    @asynccontextmanager
    async def another_api(self, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
        """A client of one more API on the same database and topics, with settings of its own."""
        own = self.settings.model_dump() | changes
        async with running_api(own.pop("database_url"), owner=SANDBOX, **own) as client:
            yield client


@asynccontextmanager
async def wallet_service(
    stack: Stack, *, with_engine: bool = True, **changes: Any
) -> AsyncIterator[WalletService]:
    """Everything on a database and topics of its own, the engine only if it is wanted."""
    names = TopicNames.unique()
    async with fresh_database(stack.database_url) as url:
        await install(url)
        await create_topics(stack.kafka_bootstrap, names)
        settings = Settings(
            **{
                "database_url": url,
                "kafka_bootstrap": stack.kafka_bootstrap,
                **names.settings,
                "secret_keys": SECRET_KEYS,
                "api_port": 0,
            }
            | changes
        )
        try:
            engine = running_engine(settings) if with_engine else nullcontext()
            async with engine, keeping_up(settings):
                own = settings.model_dump()
                async with running_api(own.pop("database_url"), owner=SANDBOX, **own) as client:
                    yield WalletService(settings, client)
        finally:
            await delete_topics(stack.kafka_bootstrap, names)


@asynccontextmanager
async def running_engine(settings: Settings) -> AsyncIterator[None]:
    """One engine that holds every shard, and leaves its group at the end."""
    consumer = CommandConsumer(settings, await register_topology(settings), "engine")
    claimed_before = await _claims(settings)
    await consumer.start()
    try:
        await poll_async(partial(_all_claimed_since, settings, claimed_before))
        yield
    finally:
        await consumer.stop()


async def _claims(settings: Settings) -> dict[int, int]:
    async with connection_to(settings.database_url) as connection:
        return dict(await connection.fetch("SELECT shard, epoch FROM shards"))


async def _all_claimed_since(settings: Settings, before: dict[int, int]) -> bool:
    claims = await _claims(settings)
    return all(claims[shard] > epoch for shard, epoch in before.items())
