"""The process behind `wallet api`."""

import asyncio
import gc
import ipaddress
import logging
import signal

import uvloop

from api.access_log import log_bare_lines
from api.server import serve
from engine.settings import Settings

_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT; requests under way are answered first.

    SIGTERM drains before that, for load balancers and callers to notice; SIGINT does not.
    The database may come and go meanwhile. Raises an ApiError if the process can't serve.
    """
    log_bare_lines()
    uvloop.run(_run(settings))


async def _run(settings: Settings) -> None:
    stop, at_once = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def interrupt() -> None:
        at_once.set()
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    await serve(settings, stop, on_listening=_begin, at_once=at_once)


def _begin(address: str) -> None:
    _warn_of_plain_http(address)
    # what is there now stays, so that no collection need look at it again
    gc.collect()
    gc.freeze()


def _warn_of_plain_http(address: str) -> None:
    host = address.removeprefix("http://").rpartition(":")[0].strip("[]")
    if not ipaddress.ip_address(host).is_loopback:
        _log.warning(
            "%s is reached over plain HTTP, in which anybody on the way can read keys and answers:"
            " put a proxy with TLS in front of it (and its address into WALLET_TRUSTED_PROXIES),"
            " or leave WALLET_API_HOST at 127.0.0.1",
            address,
        )
