"""A run of chaos: load over Kafka and HTTP, faults meanwhile, and the check from outside after it."""

import asyncio
import re
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import urlsplit, urlunsplit

import httpx

from bench.connection import basic
from cli.stack import Stack
from cli.stack.ports import HOST
from projections.verification import verify
from tests.chaos.faults import LINKS, Faults
from tests.chaos.processes import Processes
from tests.chaos.proxy import Proxy
from tests.support.databases import connection_to
from tests.support.http_books import Books, check_books, fund_shared
from tests.support.http_caller import Caller, Tally
from tests.support.http_client import Client
from tests.support.http_deployment import HttpDeployment
from tests.support.ledger_audit import audit
from tests.support.load import Load, Sent
from tests.support.query_api import create_credentials
from tests.support.wallet_service import SANDBOX

CLIENTS = 6
_SHARED_WALLETS = 2
_OF_HTTP = re.compile(rb"wal_[0-9a-f]{24}")
_COMMANDS_A_SEND = 10
_PAUSE_S = 0.08
_COMMANDS_A_LOAD = 2_500
"""Then others begin on wallets of their own: a load closes its wallets bit by bit."""
_END_S_MAX = 120

Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What was gone through, and what was checked after it."""

    seed: int
    seconds: float
    faults: Counter[tuple[str, str]]
    resets: int
    revived: int
    commands: int
    outcomes: Counter[str]
    tally: Tally

    @property
    def text(self) -> str:
        """Three lines for people."""
        faults = ", ".join(f"{what} {kind} {n}" for (what, kind), n in sorted(self.faults.items()))
        outcomes = ", ".join(f"{name} {n:,}" for name, n in self.outcomes.most_common())
        return (
            f"seed {self.seed}: {self.faults.total()} faults survived in {self.seconds:.0f} s"
            f" ({faults}; {self.resets} connections reset, {self.revived} processes started again"
            " by the supervisor)\n"
            f"{self.outcomes.total():,} commands checked, {self.commands:,} of them sent to Kafka"
            f" ({outcomes})\n"
            f"{self.tally.requests:,} requests over HTTP, {self.tally.retries:,} retries,"
            f" {self.tally.given_up} given up; nothing lost, nothing doubled"
        )


async def chaos(seed: int, seconds: float, say: Say) -> Result:
    """Raises AssertionError at the first thing that is not as it should be."""
    rng = Random(seed)
    async with _service(say) as (deployment, processes, links):
        key = await create_credentials(deployment.settings.database_url, SANDBOX, label="chaos")
        async with httpx.AsyncClient(base_url=deployment.url(0), auth=key, timeout=30) as client:
            before = await fund_shared(client, _SHARED_WALLETS)
        tally = Tally()
        ports = [proxy.port for proxy in links["api"]]
        clients = [
            Client(
                f"c{number}",
                f"v{1 + number % 2}",
                Caller(ports, basic(*key), _branch(rng), tally),
                _branch(rng),
                [*before.shared],
            )
            for number in range(CLIENTS)
        ]
        faults = Faults(processes, links, _branch(rng))
        say(f"faults for {seconds:.0f} s, drawn from seed {seed}")
        begun = time.monotonic()
        try:
            journal = await _disturb(
                deployment, processes, faults, clients, _branch(rng), seconds, say
            )
            took = time.monotonic() - begun
            say("checking")
            books = [before, *(client.books for client in clients)]
            outcomes = await _check(deployment, key, books, journal)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}\n{tally}\n{deployment.logs()}") from error
        return Result(
            seed,
            took,
            faults.survived,
            sum(proxy.resets for proxies in links.values() for proxy in proxies),
            processes.revived,
            len(journal),
            outcomes,
            tally,
        )


def _branch(rng: Random) -> Random:
    return Random(rng.randrange(2**32))


async def _disturb(
    deployment: HttpDeployment,
    processes: Processes,
    faults: Faults,
    clients: list[Client],
    rng: Random,
    seconds: float,
    say: Say,
) -> list[Sent]:
    """Load and faults for so long; then the end of all that was begun. What was sent to Kafka."""
    journal: list[Sent] = []
    stop = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            supervising = group.create_task(processes.supervise())
            work = [
                group.create_task(faults.until(stop, lambda what, kind: say(f"{what} {kind}"))),
                group.create_task(_send(deployment, rng, stop, journal)),
                *[
                    group.create_task(client.run_while(lambda: not stop.is_set()))
                    for client in clients
                ],
            ]
            await asyncio.sleep(seconds)
            stop.set()
            say("no more faults: everything has to come to its end")
            _, late = await asyncio.wait(work, timeout=_END_S_MAX)
            assert not late, f"not at an end after {_END_S_MAX} s: {late}"
            await _until_quiet(deployment)
            supervising.cancel()
    except* AssertionError as failed:
        raise failed.exceptions[0] from None
    return journal


@asynccontextmanager
async def _service(
    say: Say,
) -> AsyncIterator[tuple[HttpDeployment, Processes, dict[str, list[Proxy]]]]:
    """Everything started, two of each process, and a proxy on each way to a server."""
    async with AsyncExitStack() as opened:
        links: dict[str, list[Proxy]] = {}
        for name in LINKS:
            links[name] = [Proxy() for _ in range(2 if name == "api" else 1)]
            for proxy in links[name]:
                await proxy.start()
                opened.push_async_callback(proxy.stop)
        (to_kafka,), (to_postgres,) = links["kafka"], links["postgres"]
        directory = opened.enter_context(tempfile.TemporaryDirectory(prefix="wallet-chaos-"))
        say("starting Kafka, PostgreSQL, two engines, two projectors and two APIs")
        stack = Stack(Path(directory), kafka_proxy_port=to_kafka.port)
        # Kafka's own clients come through the proxy from the first moment on
        await opened.enter_async_context(_started(stack, to_kafka))
        deployment = await opened.enter_async_context(HttpDeployment.on(stack))
        url = urlsplit(deployment.settings.database_url)
        to_postgres.upstream = url.port
        through = url._replace(netloc=f"{url.username}@{HOST}:{to_postgres.port}")
        processes = Processes(deployment, {"WALLET_DATABASE_URL": urlunsplit(through)})
        processes.start_all()
        for number, proxy in enumerate(links["api"]):
            proxy.upstream = deployment.ports[number]
        await deployment.until_ready()
        yield deployment, processes, links


@asynccontextmanager
async def _started(stack: Stack, to_kafka: Proxy) -> AsyncIterator[None]:
    async with stack:
        to_kafka.upstream = stack.kafka.port
        yield


async def _send(
    deployment: HttpDeployment, rng: Random, stop: asyncio.Event, journal: list[Sent]
) -> None:
    """Commands straight to Kafka, until `stop` is set; all of them are acknowledged at the end."""
    settings = deployment.settings
    for number in range(1_000_000):
        load = Load(
            settings,
            partitions=settings.partitions,
            seed=rng.randrange(2**32),
            tag=f"load{number}x",
        )
        async with load:
            while not stop.is_set() and load.sent < _COMMANDS_A_LOAD:
                await load.send(_COMMANDS_A_SEND)
                await asyncio.sleep(_PAUSE_S)
        journal += load.journal
        if stop.is_set():
            return


async def _until_quiet(deployment: HttpDeployment) -> None:
    """Nothing that was begun is under way any more."""
    await deployment.until_ready()
    for number in (*deployment.ports,):
        await deployment.stop("api", number)
    await deployment.until_quiet()
    deployment.start("api", 0)
    await deployment.until_ready()


async def _check(
    deployment: HttpDeployment,
    key: tuple[str, str],
    books: list[Books],
    journal: list[Sent],
) -> Counter[str]:
    """Journal and books, log, topics and read models against each other."""
    settings = deployment.settings
    outcomes = await audit(settings, journal, settings.partitions, others=_OF_HTTP)
    async with (
        connection_to(settings.database_url) as connection,
        httpx.AsyncClient(base_url=deployment.url(0), auth=key, timeout=30) as client,
    ):
        await check_books(client, connection, books)
    proof = await verify(settings)
    assert proof.passed, proof.first
    return outcomes
