"""Pages: which versions there are, the operations of each, and every error code."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from api.docs.assets import PATH, assets, assets_by_path
from api.docs.error_codes import ANCHORS_AT, ERROR_FAMILIES
from api.openapi.document import document
from api.operations import OPERATIONS
from api.versions import Version

_KEPT: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_ASKED_AGAIN: Final = {"Cache-Control": "no-cache"}
_GUARDED: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_NOTHING_FROM_ELSEWHERE: Final = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self';"
    " connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

_templates: Final = Environment(
    loader=PackageLoader("api.docs"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page_routes(versions: Mapping[str, Version]) -> list[HTTPRouteHandler]:
    """The routes of every page, and of what they load."""

    @get("/docs", include_in_schema=False)
    async def index() -> Response[str]:
        return _page("index.html", versions=list(versions))

    @get(ANCHORS_AT, include_in_schema=False)
    async def errors() -> Response[str]:
        return _page("errors.html", families=ERROR_FAMILIES)

    @get(f"{PATH}/{{name:str}}", include_in_schema=False)
    async def asset(name: FromPath[str]) -> Response[bytes]:
        found = assets_by_path().get(f"{PATH}/{name}")
        if found is None:
            raise NotFoundException
        return Response(found.content, media_type=found.media_type, headers=_KEPT | _GUARDED)

    about_versions = [
        route for version in versions.values() for route in _routes_of_version(version)
    ]
    return [index, errors, asset, *about_versions]


def _routes_of_version(version: Version) -> list[HTTPRouteHandler]:
    @cache
    def encoded() -> bytes:
        return msgspec.json.encode(document(version, OPERATIONS))

    @get(f"/{version.name}/openapi.json", name=f"{version.name}.openapi", include_in_schema=False)
    async def openapi() -> Response[bytes]:
        return Response(encoded(), media_type="application/json", headers=_ASKED_AGAIN | _GUARDED)

    @get(f"/{version.name}/docs", name=f"{version.name}.docs", include_in_schema=False)
    async def operations() -> Response[str]:
        return _page("operations.html", version=version.name)

    return [openapi, operations]


def _page(template: str, **values: Any) -> Response[str]:
    policy = {"Content-Security-Policy": _NOTHING_FROM_ELSEWHERE}
    return Response(
        _templates.get_template(template).render(assets=assets(), **values),
        media_type="text/html",
        headers=_ASKED_AGAIN | _GUARDED | policy,
    )
