"""An engine, a projector and an API as processes that serve metrics and send spans."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from cli.stack import Stack
from cli.stack.ports import free_port
from tests.support.http_deployment import HttpDeployment
from tests.support.query_api import create_credentials
from tests.support.scrapes import Scrape, scrape
from tests.support.span_collector import SpanCollector, span_collector
from tests.support.wallet_service import SANDBOX

KINDS = ("engine", "projector", "api")


@dataclass(frozen=True)
class WatchedService:
    """`client` calls for `SANDBOX`; `ports` are where metrics are served, by kind of process."""

    deployment: HttpDeployment
    client: httpx.AsyncClient
    ports: dict[str, int]
    collector: SpanCollector

    async def scrape(self, *kinds: str) -> Scrape:
        """What these (all) processes tell now."""
        return await scrape(self.ports[kind] for kind in kinds or KINDS)


@asynccontextmanager
async def watched_service(stack: Stack) -> AsyncIterator[WatchedService]:
    """Everything on a database and topics of its own, ready, and ended afterwards."""
    with span_collector() as collector:
        async with HttpDeployment.on(stack) as deployment:
            ports: dict[str, int] = {}
            for kind in KINDS:
                ports[kind] = free_port(set(ports.values()))
                telemetry = {
                    "WALLET_METRICS_PORT": str(ports[kind]),
                    "WALLET_TRACES": "true",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
                    "OTEL_BSP_SCHEDULE_DELAY": "100",
                }
                deployment.start(kind, more=telemetry)
            await deployment.until_ready()
            auth = await create_credentials(
                deployment.settings.database_url, SANDBOX, requests_per_second=10_000
            )
            url = deployment.url(0)
            async with httpx.AsyncClient(base_url=url, timeout=30, auth=auth) as client:
                yield WatchedService(deployment, client, ports, collector)
