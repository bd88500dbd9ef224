"""`wallet engine`, `wallet projector`, `wallet api`: one process of the service each."""

import logging
import sys
from typing import Annotated

import typer

from engine.settings import Settings, load_settings

_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"

HostOption = Annotated[
    str | None, typer.Option("--host", help="Listen here instead of at WALLET_API_HOST.")
]
PortOption = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="Listen here instead of at WALLET_API_PORT."),
]


def engine() -> None:
    """Decide commands: take them from Kafka, append their outcomes to the log.

    Run as many as you like: they share the partitions of the commands topic.
    SIGTERM lets the process finish what it has begun and give up its partitions
    at once; SIGKILL does no harm.

    For example:
      wallet engine
      WALLET_LOG_LEVEL=DEBUG wallet engine
    """
    settings = _start()
    from engine.process import run  # noqa: PLC0415  # FastStream takes its time to import

    run(settings)


def projector() -> None:
    """Keep the read models up to date with the log.

    Run as many as you like: they take turns, and none is applied twice. SIGTERM
    ends the process after the pages it is at.

    For example:
      wallet projector
    """
    settings = _start()
    from projections.process import run  # noqa: PLC0415

    run(settings)


def api(host: HostOption = None, port: PortOption = None) -> None:
    """Serve the HTTP API, for whoever has a key.

    Run as many as you like behind one address, with the same WALLET_SECRET_KEYS.
    It listens on 127.0.0.1 unless told otherwise, for it speaks plain HTTP: put a
    proxy with TLS in front of it. `wallet keys create` makes keys.

    For example:
      wallet api --port 8081
      curl -u "$CLIENT_ID:$CLIENT_SECRET" http://127.0.0.1:8081/v1/wallets
    """
    given = {"api_host": host, "api_port": port}
    settings = _start(**{name: value for name, value in given.items() if value is not None})
    from api.process import run  # noqa: PLC0415  # Litestar takes its time to import

    run(settings)


def service_argv(name: str) -> list[str]:
    """How another process starts the one of this name: as production does."""
    # -P: what lies in the working directory is not to be taken for our packages
    return [sys.executable, "-P", "-m", "cli.main", name]


def _start(**overrides: object) -> Settings:
    settings = load_settings(**overrides)
    logging.basicConfig(level=settings.log_level, format=_LOG_FORMAT)
    return settings
