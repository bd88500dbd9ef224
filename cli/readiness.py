"""Whether processes that were just started do their work: all shards owned, queries answered."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.error import HTTPError

import asyncpg

from cli.errors import NotReadyError
from cli.local_requests import open_local
from engine.sql import load_queries

if TYPE_CHECKING:
    from cli.stack import ManagedProcess

_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.1
_REQUEST_TIMEOUT_S: Final = 2.0
_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))


class Readiness:
    """Counts what has been claimed since it was entered.

    async with Readiness(database_url, api_url) as readiness:
        processes = ...
        await readiness.wait(processes)
    """

    def __init__(self, database_url: str, api_url: str) -> None:
        self._database_url = database_url
        self._api_url = api_url
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._connection = await asyncpg.connect(self._database_url)
        self._resources.push_async_callback(self._connection.close)
        self._since: datetime = await self._connection.fetchval(_QUERIES["clock"])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def wait(self, processes: "Sequence[ManagedProcess]") -> None:
        """Return when every shard is claimed and the API is ready.

        Raises StackError if a process ends, NotReadyError if a shard has halted or time is up.
        """
        deadline = time.monotonic() + _TIMEOUT_S
        while (missing := await self._missing()) is not None:
            raise_if_ended(processes)
            await self._raise_if_halted()
            if time.monotonic() > deadline:
                raise NotReadyError(f"not ready within {_TIMEOUT_S:.0f} s: {missing}")
            await asyncio.sleep(_POLL_S)

    async def _missing(self) -> str | None:
        """What is still to come; None if nothing is."""
        unclaimed: int = await self._connection.fetchval(_QUERIES["unclaimed"], self._since)
        if unclaimed:
            return f"{unclaimed} shards have no owner"
        return await asyncio.to_thread(_not_ready, f"{self._api_url}/readyz")

    async def _raise_if_halted(self) -> None:
        rows = await self._connection.fetch(_QUERIES["halted"], self._since)
        if rows:
            reasons = "; ".join(
                f"shard {row['shard']} has stopped: {row['halted']}" for row in rows
            )
            raise NotReadyError(reasons)


def raise_if_ended(processes: "Sequence[ManagedProcess]") -> None:
    """Raise StackError with the log's last lines if one of them no longer runs."""
    for process in processes:
        if not process.running:
            raise process.failure(f"ended by itself (status {process.returncode})")


def _not_ready(url: str) -> str | None:
    try:
        with open_local(url, timeout=_REQUEST_TIMEOUT_S):
            return None
    except HTTPError as error:
        return error.read().decode(errors="replace")
    except OSError as error:
        return f"the API does not answer at {url} ({error})"
