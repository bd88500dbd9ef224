"""The application: every route, and what stands around all of them."""

from litestar import Litestar
from litestar.di import Provide
from litestar.types import ASGIApp

from api.access_log import AccessLog
from api.dispatch import Dispatcher
from api.failures import HANDLERS, VERSIONS
from api.health import Readiness, healthz, readyz
from api.operations import OPERATIONS
from api.services import Services


def create_app(services: Services, readiness: Readiness) -> ASGIApp:
    """The ASGI application that answers with `services`."""
    dispatcher = Dispatcher(services)
    routes = [
        dispatcher.route(version, operation)
        for version in VERSIONS.values()
        for operation in OPERATIONS
    ]
    return AccessLog(
        Litestar(
            route_handlers=[*routes, healthz, readyz],
            dependencies={"readiness": Provide(lambda: readiness, sync_to_thread=False)},
            exception_handlers=HANDLERS,
            openapi_config=None,
            logging_config=None,
        )
    )
