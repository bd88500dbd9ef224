"""An API in the test's own process, over real HTTP, and what it reads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import httpx

from api.access.keys import create_key
from api.secret_keys import SecretKeys
from api.server import serve
from engine.settings import Settings
from projections.models import PROJECTIONS
from schemas.ids import Owner
from schemas.instants import utc_now
from tests.support.databases import connection_to
from tests.support.history import START, HistoryBuilder
from tests.support.read_models import catch_up


class StandingClock:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


SECRET_KEYS = "a-secret-key-that-only-tests-have"
OWNER = Owner("mch_1", "live")
"""Whose the wallets of a HistoryBuilder are, unless it is told otherwise."""


async def create_credentials(
    database_url: str, owner: Owner = OWNER, secret_keys: str = SECRET_KEYS, **key: Any
) -> tuple[str, str]:
    """Client id and secret of a new key, whose merchant is made if there is none.

    Good for nothing where the database has no tables yet.
    """
    async with connection_to(database_url) as connection:
        if await connection.fetchval("SELECT to_regclass('merchants') IS NULL"):
            return "0" * 12, "0" * 64
        await connection.execute(
            "INSERT INTO merchants (merchant_id, name, currency) VALUES ($1, $1, 'GHS')"
            " ON CONFLICT DO NOTHING",
            owner.merchant_id,
        )
        made = await create_key(
            connection,
            SecretKeys((secret_keys,)),
            *owner,
            **{"label": "tests", "requests_per_second": 100_000} | key,
        )
        return made.client_id, made.client_secret


@asynccontextmanager
async def running_api(
    database_url: str,
    clock: Callable[[], datetime] = utc_now,
    owner: Owner = OWNER,
    auth: tuple[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API that runs on a port of its own, and is stopped at the end.

    It has a key of the owner's: a new one, unless `auth` says which.
    """
    stop = asyncio.Event()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    chosen = Settings(
        **{"database_url": database_url, "api_port": 0, "secret_keys": SECRET_KEYS} | settings
    )
    serving = asyncio.create_task(
        serve(chosen, stop, clock=clock, on_listening=address.set_result)
    )
    await asyncio.wait({serving, address}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not serving.done():
            async with httpx.AsyncClient(
                base_url=address.result(),
                timeout=30,
                auth=auth or await create_credentials(database_url, owner),
            ) as client:
                yield client
    finally:
        stop.set()
        await serving


async def project(connection: asyncpg.Connection, *names: str) -> None:
    """Bring these read models (all) up to the log, and tell listeners."""
    await catch_up(connection, [PROJECTIONS[name] for name in names or PROJECTIONS])
    await connection.execute("SELECT pg_notify('wallet_models', '0')")


async def record(connection: asyncpg.Connection, *histories: HistoryBuilder) -> None:
    """Write what is not in the log yet, and bring the read models up to it."""
    for history in histories:
        await history.write(connection)
    await project(connection)


async def walk(client: httpx.AsyncClient, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """Every item of a list, page after page."""
    items: list[dict[str, Any]] = []
    while True:
        answer = await client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["data"]
        if not page["has_more"]:
            return items
        parameters["after"] = page["data"][-1]["id"]
