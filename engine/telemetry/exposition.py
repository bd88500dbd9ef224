"""Serving a registry at /metrics, from a thread of its own.

The thread answers while the event loop is busy or stuck, which is when somebody wants to know.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from engine.errors import SetupError

logger = logging.getLogger(__name__)


class MetricsPortError(SetupError):
    """The metrics can't be served where the settings say."""

    code = "metrics_port"


def new_registry() -> CollectorRegistry:
    """A registry with what is told of any process: release, memory, processor time, open files."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info("wallet_build", "The release that runs.", registry=registry).info(
        {"version": version("wallet-engine")}
    )
    return registry


@contextmanager
def exposed(registry: CollectorRegistry, host: str, port: int) -> Iterator[None]:
    """Serve the registry until the end; port 0 takes any that is free.

    Raises MetricsPortError if that address can't be had.
    """
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise MetricsPortError(
            f"Metrics can't be served on {host}, port {port} ({error.strerror}): give each process"
            " a WALLET_METRICS_PORT of its own, or check WALLET_METRICS_HOST."
        ) from error
    logger.info("metrics_served address=http://%s:%d/metrics", host, server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
