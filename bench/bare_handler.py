"""The ceiling of a debit over HTTP: a Litestar handler that does nothing.

    python -m bench.bare_handler FILE

It stands behind the same authentication, limit and log line as ours, on the same server, and gives
what stands in the file as the answer to each debit. It is set up by the same variables as `wallet api`.
"""

import asyncio
import gc
import logging
import signal
import sys
from contextlib import suppress
from pathlib import Path

import uvloop
from litestar import Litestar, Request, Response, post

from api.access.addresses import TrustedProxies
from api.access.admission import Admission
from api.access.authentication import Authenticator
from api.access.rate_limits import RateLimits
from api.access.verified import VerifiedCredentials
from api.access_log import AccessLog, log_bare_lines
from api.draining import Draining
from api.requests import Request as OurRequest
from api.secret_keys import SecretKeys
from api.server import http_server
from engine.settings import Settings, load_settings
from projections.listening import Listener
from projections.queries import open_pool

_TIMEOUT_S = 10
_CONNECTIONS_MAX = 10


def application(settings: Settings, admission: Admission, answer: bytes) -> AccessLog:
    """What is around it is ours; what is inside is the framework's."""

    @post("/v1/wallets/{wallet_id:str}/debit", status_code=200)
    async def debit(request: Request) -> Response[bytes]:  # type: ignore[type-arg]
        await admission.admit("credits:write", OurRequest(request.scope, request.receive))
        await request.body()
        return Response(answer, media_type="application/json")

    framework = Litestar([debit], openapi_config=None, logging_config=None)
    return AccessLog(framework, TrustedProxies.of(settings), Draining())


async def serve(settings: Settings, answer: bytes) -> None:
    """Answers until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    verified, secret_keys = VerifiedCredentials(), SecretKeys.of(settings)
    listener, limits = Listener(settings.database_url), RateLimits.of(settings)
    verified.subscribe_to(listener)
    async with open_pool(
        settings.database_url, timeout_s=_TIMEOUT_S, connections_max=_CONNECTIONS_MAX
    ) as rows:
        admission = Admission(Authenticator(rows, secret_keys, verified), limits)
        app = application(settings, admission, answer)
        server = http_server(settings, app, settings.api_host, settings.api_port)
        gc.collect()
        gc.freeze()
        work = [asyncio.create_task(each) for each in (listener.run(), server.serve())]
        await asyncio.wait(
            [*work, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        server.stop()  # type: ignore[no-untyped-call]
        work[0].cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*work)
    limits.close()


if __name__ == "__main__":
    told = load_settings()
    logging.basicConfig(level=told.log_level)
    log_bare_lines()
    uvloop.run(serve(told, Path(sys.argv[1]).read_bytes()))
