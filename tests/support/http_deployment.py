"""The whole service as processes, as production runs them: APIs, engines and projectors."""

import time
from asyncio import sleep
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from api.install import install
from cli.processes import service_argv
from cli.stack import ManagedProcess, Stack
from cli.stack.ports import free_port
from engine.settings import Settings
from tests.support.databases import connection_to, fresh_database
from tests.support.polling import poll_async
from tests.support.query_api import SECRET_KEYS
from tests.support.topics import TopicNames, create_topics, delete_topics
from tests.support.wallet_command import environment

_READY_S_MAX = 60
_SETTLED_S_MAX = 60
_numbers = count()

_UNSETTLED = """
SELECT s.shard, s.position, s.published, l.name, l.position AS shown
  FROM shards s
  JOIN live_checkpoints l ON l.shard = s.shard
 WHERE s.published < s.position OR l.position < s.position
"""


@dataclass
class HttpDeployment:
    """Topics and a database of one test, and the processes that were started on them.

    A process is known by its kind and a number, `("api", 0)`.
    """

    stack: Stack
    settings: Settings
    ports: dict[int, int] = field(default_factory=dict)
    processes: dict[tuple[str, int], ManagedProcess] = field(default_factory=dict)
    ended: list[ManagedProcess] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def on(cls, stack: Stack, **changes: Any) -> AsyncIterator["HttpDeployment"]:
        """Everything set up, nothing started; whatever was started is ended afterwards."""
        names = TopicNames.unique()
        async with fresh_database(stack.database_url) as database_url:
            settings = Settings(
                database_url=database_url,
                kafka_bootstrap=stack.kafka_bootstrap,
                **names.settings,
                secret_keys=SECRET_KEYS,
                session_timeout_ms=2_000,
                api_drain_ms=0,
            ).model_copy(update=changes)
            await install(database_url)
            await create_topics(stack.kafka_bootstrap, names, settings.partitions)
            deployment = cls(stack, settings)
            try:
                yield deployment
            finally:
                for process in deployment.processes.values():
                    await process.kill()
                await delete_topics(stack.kafka_bootstrap, names)

    def start(self, kind: str, number: int = 0, more: Mapping[str, str] | None = None) -> None:
        """Start a process, or start it again; an API comes back on its port.

        `more` are environment variables of its own.
        """
        env = environment(self.settings) | dict(more or {})
        if kind == "api":
            port = self.ports.setdefault(number, free_port(set(self.ports.values())))
            env |= {
                "WALLET_API_PORT": str(port),
                "WALLET_API_DRAIN_MS": str(self.settings.api_drain_ms),
                "WALLET_PUBLIC_URL": self.url(0),
            }
        name = f"{kind}-{number}-{next(_numbers)}"
        self.processes[kind, number] = self.stack.spawn(name, service_argv(kind), env)

    async def kill(self, kind: str, number: int = 0) -> None:
        """SIGKILL."""
        process = self.processes.pop((kind, number))
        assert process.running, f"{kind} {number} had ended by itself: {process.log_tail(20)}"
        await process.kill()
        self.ended.append(process)

    async def stop(self, kind: str, number: int = 0) -> None:
        """SIGTERM, at which it ends what it is at."""
        process = self.processes.pop((kind, number))
        await process.stop(timeout_s=30)
        self.ended.append(process)

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.ports[number]}"

    async def until_ready(self) -> None:
        """Wait until every API says that it is, and every shard has an owner."""
        deadline = time.monotonic() + _READY_S_MAX
        async with httpx.AsyncClient() as client:
            while True:
                numbers = [number for kind, number in self.processes if kind == "api"]
                missing = [number for number in numbers if not await self._ready(client, number)]
                owned = await self._fetch("SELECT FROM shards WHERE owner IS NOT NULL")
                if not missing and len(owned) == self.settings.partitions:
                    return
                if time.monotonic() > deadline:
                    raise AssertionError(f"not ready: {missing}, {len(owned)}\n{self.logs()}")
                await sleep(0.1)

    async def _ready(self, client: httpx.AsyncClient, number: int) -> bool:
        try:
            return (await client.get(f"{self.url(number)}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def until_settled(self) -> None:
        """Wait until every command is decided, and shown, and on the events topic."""
        deadline = time.monotonic() + _SETTLED_S_MAX
        while behind := (await self._undecided()) or (await self._fetch(_UNSETTLED)):
            if time.monotonic() > deadline:
                raise AssertionError(f"not settled: {behind}\n{self.logs()}")
            await sleep(0.1)

    async def until_quiet(self) -> None:
        """Wait until all is settled and every lot that expires has done so: nothing changes by itself."""
        # what is not decided yet may bring lots
        await self.until_settled()
        await poll_async(self._is_nothing_due, timeout_s=_SETTLED_S_MAX)
        await self.until_settled()

    async def _is_nothing_due(self) -> bool:
        return not await self._fetch("SELECT FROM due LIMIT 1")

    async def _undecided(self) -> list[tuple[int, int]]:
        """(partition, where it ends) of those with commands that wait for a decision."""
        topic, bootstrap = self.settings.commands_topic, self.settings.kafka_bootstrap
        async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
            places = [TopicPartition(topic, each) for each in range(self.settings.partitions)]
            ends = await consumer.end_offsets(places)
        rows = await self._fetch("SELECT shard, next_offset FROM shards")
        decided = {row["shard"]: row["next_offset"] for row in rows}
        return [
            (place.partition, end) for place, end in ends.items() if decided[place.partition] < end
        ]

    async def _fetch(self, query: str) -> list[asyncpg.Record]:
        async with connection_to(self.settings.database_url) as connection:
            return await connection.fetch(query)

    def logs(self) -> str:
        """What each process has warned of, at last."""
        return "\n".join(
            f"--- {process.name} pid {process.pid}, exit {process.returncode}\n{_warnings(process)}"
            for process in (*self.ended, *self.processes.values())
        )


def _warnings(process: ManagedProcess) -> str:
    lines = process.log_path.read_text().splitlines()
    # an API's log has a line of JSON for each request
    return "\n".join([line for line in lines if line[:1] != "{" and " INFO " not in line][-20:])
