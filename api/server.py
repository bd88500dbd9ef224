"""The server: the application behind granian, and what runs beside it."""

import asyncio
import logging
import math
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final

import asyncpg
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from litestar.types import ASGIApp

from api.access.addresses import TrustedProxies
from api.access.admission import Admission
from api.access.authentication import Authenticator
from api.access.rate_limits import RateLimits
from api.access.verified import VerifiedCredentials
from api.app import create_app
from api.draining import Draining
from api.errands import errands
from api.errors import ListenError, ServerFailedError
from api.health import Readiness
from api.observation import Observer
from api.observing import observing
from api.reads import Reads
from api.secret_keys import SecretKeys
from api.services import Services
from api.sweeping import sweep
from api.wallets.ownership import WalletOwners
from engine.settings import Settings
from projections.listening import Listener
from projections.queries import ReadModels, open_pool
from projections.waiting import ShardWatch
from schemas.instants import utc_now

_BACKLOG: Final = 1024
_CONNECTIONS_MAX: Final = 10
_DRAIN_MARGIN_S: Final = 1
_POOL_CLOSE_S_MAX: Final = 5
_START_S_MAX: Final = 10

_log = logging.getLogger(__name__)


async def serve(
    settings: Settings,
    stop: asyncio.Event,
    *,
    clock: Callable[[], datetime] = utc_now,
    on_listening: Callable[[str], None] = lambda _: None,
    at_once: asyncio.Event | None = None,
) -> None:
    """Answer requests until `stop` is set, then drain, then answer those that are under way.

    Draining takes `settings.api_drain_ms`; `at_once` ends it.
    `on_listening` gets the address, as `http://127.0.0.1:8080`; port 0 takes any that is free.
    Raises ListenError at once if the address can't be had.
    """
    host, port = _free_address(settings.api_host, settings.api_port)
    secret_keys = SecretKeys.of(settings)
    proxies = TrustedProxies.of(settings)
    draining = Draining()
    async with (
        observing(settings, proxies) as observer,
        _rate_limits(settings) as rate_limits,
        _pool(settings, read_only=True) as pool,
        _pool(settings, read_only=False) as rows,
    ):
        listener = Listener(settings.database_url)
        gateway = observer.gateway(settings, listener)
        observer.pool("reads", pool)
        observer.pool("rows", rows)
        verified = VerifiedCredentials()
        verified.subscribe_to(listener)
        watch = ShardWatch(pool)
        watch.subscribe_to(listener)
        async with (
            _beside(gateway.run()) as carrying,
            _beside(watch.run()) as watching,
            _beside(listener.run()) as listening,
            errands() as begun,
        ):
            owners = WalletOwners(rows)
            services = Services(
                settings=settings,
                secret_keys=secret_keys,
                admission=Admission(Authenticator(rows, secret_keys, verified), rate_limits),
                clock=clock,
                reads=Reads(ReadModels(pool), watch, owners, settings.api_deadline_ms, clock),
                rows=rows,
                gateway=gateway,
                errands=begun,
                wallet_owners=owners,
                public_url=(settings.public_url or _address(host, port)).rstrip("/"),
            )
            async with (
                _beside(sweep(services)) as sweeping,
                _serving(
                    http_server(settings, _app(services, proxies, draining, observer), host, port)
                ) as serving,
            ):
                if await _accepts_soon(host, port, unless=lambda: stop.is_set() or serving.done()):
                    _log.info("The API listens on %s", _address(host, port))
                    on_listening(_address(host, port))
                needed = (serving, carrying, watching, listening, sweeping)
                await _stopped(stop, *needed)
                draining.begun = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(settings.api_drain_ms / 1000):
                        await _stopped(at_once or asyncio.Event(), *needed)


def _app(
    services: Services, proxies: TrustedProxies, draining: Draining, observer: Observer
) -> ASGIApp:
    settings = services.settings
    return create_app(
        services,
        Readiness(
            services.reads.models,
            settings.api_deadline_ms,
            settings.readyz_lag_entries_max,
            draining,
        ),
        proxies,
        draining,
        observer,
    )


def http_server(settings: Settings, app: ASGIApp, host: str, port: int) -> Server:
    """The HTTP server as the API runs it, not started yet."""
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_BACKLOG,
        log_level=LogLevels.error,
        # a full configuration would undo the process's own
        log_dictconfig={"incremental": True, "handlers": {}, "loggers": {"_granian": {}}},
    )
    # a client that never ends its request, or never reads its answer, must not hold the process
    server.workers_kill_timeout = math.ceil(settings.api_deadline_ms / 1000) + _DRAIN_MARGIN_S
    return server


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def _serving(server: Server) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(server.serve())
    try:
        yield task
    finally:
        server.stop()  # type: ignore[no-untyped-call]
        try:
            await task
        except TimeoutError:
            _log.warning("Connections that did not end in time were dropped")


async def _stopped(stop: asyncio.Event, *needed: asyncio.Task[None]) -> None:
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({stopping, *needed}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    for task in needed:
        if task.done():
            raise ServerFailedError(
                "A part of the API has ended by itself, so the rest was stopped too."
            ) from task.exception()


async def _accepts_soon(host: str, port: int, *, unless: Callable[[], bool]) -> bool:
    # granian does not say when it does
    deadline = time.monotonic() + _START_S_MAX
    while not await _accepts(host, port):
        if unless():
            return False
        if time.monotonic() > deadline:
            raise ServerFailedError(f"The HTTP server did not listen within {_START_S_MAX} s.")
        await asyncio.sleep(0.01)
    return True


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _accepts(host: str, port: int) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        await writer.wait_closed()
        return True
    return False


@asynccontextmanager
async def _rate_limits(settings: Settings) -> AsyncIterator[RateLimits]:
    limits = RateLimits.of(settings)
    try:
        yield limits
    finally:
        limits.close()


@asynccontextmanager
async def _pool(settings: Settings, *, read_only: bool) -> AsyncIterator[asyncpg.Pool]:
    timeout_ms = min(settings.database_timeout_ms, settings.api_deadline_ms)
    pool = open_pool(
        settings.database_url,
        timeout_s=timeout_ms / 1000,
        connections_max=_CONNECTIONS_MAX,
        read_only=read_only,
    )
    await pool
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(_POOL_CLOSE_S_MAX):
                await pool.close()
        except TimeoutError:
            pool.terminate()


def _free_address(host: str, port: int) -> tuple[str, int]:
    # granian shares a port with whoever has it already, and each would get some of the requests
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            own_host, own_port, *_ = probe.getsockname()
    except OSError as error:
        raise ListenError(
            f"The API can't listen on {host}, port {port} ({error.strerror}): choose"
            " another address with WALLET_API_HOST and WALLET_API_PORT."
        ) from None
    return str(own_host), int(own_port)
