"""The application: every route, and what stands around all of them."""

from litestar import Litestar
from litestar.di import Provide
from litestar.types import ASGIApp

from api.access_log import AccessLog
from api.failures import HANDLERS
from api.health import Readiness, healthz, readyz
from api.reads import Reads
from api.v1 import v1_routes
from api.wallets import wallet_routes


def create_app(reads: Reads, readiness: Readiness) -> ASGIApp:
    """The ASGI application that answers from `reads`."""
    return AccessLog(
        Litestar(
            route_handlers=[v1_routes(wallet_routes()), healthz, readyz],
            dependencies={
                "reads": Provide(lambda: reads, sync_to_thread=False),
                "readiness": Provide(lambda: readiness, sync_to_thread=False),
            },
            exception_handlers=HANDLERS,
            openapi_config=None,
            logging_config=None,
        )
    )
