"""The application: every route of every version, and what stands around all of them."""

from litestar import Litestar
from litestar.di import Provide
from litestar.types import ASGIApp

from api.access.addresses import TrustedProxies
from api.access_log import AccessLog
from api.cursors import Cursors
from api.dispatch import Dispatcher
from api.docs.pages import page_routes
from api.draining import Draining
from api.failures import exception_handlers
from api.health import Readiness, healthz, readyz
from api.lingering import Lingering
from api.observation import NOBODY, Observer
from api.operations import OPERATIONS
from api.options import with_options
from api.routing import Router
from api.secret_keys import SecretKeys
from api.services import Services
from api.topups.pages import CheckoutPages
from api.v1 import V1
from api.v2 import v2
from api.versions import Version


def versions(public_url: str, secret_keys: SecretKeys) -> dict[str, Version]:
    """Every version by its name, for callers who reach the API under `public_url`."""
    return {each.name: each for each in (V1, v2(public_url, Cursors(secret_keys)))}


def create_app(
    services: Services,
    readiness: Readiness,
    proxies: TrustedProxies,
    draining: Draining,
    observer: Observer = NOBODY,
) -> ASGIApp:
    """The ASGI application that answers with `services`, and says so when it is `draining`."""
    dispatcher = Dispatcher(services)
    known = versions(services.public_url, services.secret_keys)
    endpoints = [
        dispatcher.endpoint(version, operation)
        for version in known.values()
        for operation in OPERATIONS
    ]
    framework = Litestar(
        route_handlers=with_options(
            [
                *(endpoint.handler for endpoint in endpoints),
                *page_routes(known),
                *CheckoutPages(services).routes(),
                healthz,
                readyz,
            ]
        ),
        dependencies={"readiness": Provide(lambda: readiness, sync_to_thread=False)},
        exception_handlers=exception_handlers(known),
        openapi_config=None,
        logging_config=None,
    )
    router = Router((endpoint.route for endpoint in endpoints), otherwise=framework)
    return Lingering(AccessLog(router, proxies, draining, observer))
