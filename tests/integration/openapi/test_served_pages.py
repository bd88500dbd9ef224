"""The documents and the pages that show them: served without a key, and by nobody else."""

import re
from html.parser import HTMLParser

import httpx
import pytest
import pytest_asyncio

from api.app import versions
from api.docs.assets import assets
from api.docs.error_codes import error_codes
from api.openapi.document import document
from api.operations import OPERATIONS
from api.secret_keys import SecretKeys
from cli.stack import Stack
from tests.support.databases import fresh_database
from tests.support.query_api import SECRET_KEYS, running_api

CONTENT_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
}
PAGES = ["/docs", "/v1/docs", "/v2/docs", "/docs/errors"]


class Named(HTMLParser):
    """What a page loads, where it leads, and which anchors it has."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.anchors: list[str] = []
        self.inline_scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.inline_scripts += tag == "script" and "src" not in given
        self.inline_scripts += any(name.startswith("on") for name in given)
        self.anchors += [given["id"]] if "id" in given else []
        self.loaded += [
            given[name] for name in ("src", "srcset", "data-document") if name in given
        ]
        if "href" in given:
            (self.linked if tag == "a" else self.loaded).append(given["href"])


def named(page: httpx.Response) -> Named:
    found = Named()
    found.feed(page.text)
    return found


@pytest_asyncio.fixture(scope="module")
async def stranger(stack: Stack):
    """A client without a key; there is not even a table in the database."""
    async with (
        fresh_database(stack.database_url) as url,
        running_api(url) as client,
        httpx.AsyncClient(base_url=client.base_url) as anybody,
    ):
        yield anybody


@pytest.mark.parametrize("name", ["v1", "v2"])
async def test_documents_are_served(stranger, name) -> None:
    answer = await stranger.get(f"/{name}/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    known = versions(str(stranger.base_url).rstrip("/"), SecretKeys((SECRET_KEYS,)))
    assert answer.json() == document(known[name], OPERATIONS)


@pytest.mark.parametrize("path", PAGES)
async def test_pages_load_nothing_from_elsewhere(stranger, path) -> None:
    page = await stranger.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    found = named(page)
    assert len(found.loaded) >= 2
    for each in found.loaded:
        assert re.match("/[^/]", each), f"{each} is not ours"
        asset = await stranger.get(each)
        assert asset.status_code == 200, each
    assert found.inline_scripts == 0
    assert "@import" not in page.text
    assert "style=" not in page.text


@pytest.mark.parametrize("path", PAGES)
async def test_pages_forbid_other_hosts(stranger, path) -> None:
    page = await stranger.get(path)
    policy = dict(
        directive.split(" ", 1)
        for directive in page.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    sources = {source for each in policy.values() for source in each.split()}
    assert sources <= {"'none'", "'self'", "data:"}
    assert policy["script-src"] == "'self'"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", PAGES)
async def test_links_of_pages_lead_somewhere(stranger, path) -> None:
    found = named(await stranger.get(path))
    assert found.linked
    for each in found.linked:
        if each.startswith("#"):
            assert each[1:] in found.anchors
        else:
            assert (await stranger.get(each)).status_code == 200, each


async def test_every_page_has_an_icon(stranger) -> None:
    for path in PAGES:
        page = await stranger.get(path)
        (icon,) = re.findall(r'<link rel="icon"[^>]* href="([^"]+)"', page.text)
        answer = await stranger.get(icon)
        assert answer.headers["content-type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")


async def test_assets_may_be_kept_for_ever(stranger) -> None:
    for name, asset in assets().items():
        answer = await stranger.get(asset.path)
        assert answer.content == asset.content
        assert answer.headers["content-type"] == CONTENT_TYPES[name.rpartition(".")[2]]
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_own_scripts_and_styles_name_no_host() -> None:
    ours = [name for name in assets() if not name.startswith(("swagger-ui", "favicon"))]
    assert len(ours) == 2
    for name in ours:
        assert b"//" not in assets()[name].content, name
    for address in re.findall(rb"url\(([^)]{5})", assets()["swagger-ui.css"].content):
        assert address.strip(b"\"'").startswith(b"data")


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fpages.py", "swagger-ui-bundle.js", "%00"])
async def test_there_are_no_other_assets(stranger, name) -> None:
    answer = await stranger.get(f"/docs/assets/{name}")
    assert answer.status_code == 404
    assert answer.json()["success"] is False


async def test_every_error_code_has_its_anchor(stranger) -> None:
    anchors = named(await stranger.get("/docs/errors")).anchors
    assert anchors == list(error_codes())


async def test_the_docs_url_of_a_failure_leads_to_its_code(stranger) -> None:
    answer = await stranger.get("/v2/wallets")
    page, _, anchor = answer.json()["error"]["docs_url"].partition("#")
    assert anchor == "token_malformed"
    assert anchor in named(await stranger.get(page)).anchors


async def test_described_operations_are_there_and_want_a_key(stranger) -> None:
    for name in ("v1", "v2"):
        paths = (await stranger.get(f"/{name}/openapi.json")).json()["paths"]
        for path, item in paths.items():
            for method in item:
                address = f"/{name}{re.sub('{.*?}', 'wal_1', path)}"
                answer = await stranger.request(method, address)
                assert answer.status_code == 401, (method, address)


async def test_options_tell_every_method_of_a_path(stranger) -> None:
    for name in ("v1", "v2"):
        paths = (await stranger.get(f"/{name}/openapi.json")).json()["paths"]
        for path, item in paths.items():
            answer = await stranger.options(f"/{name}{re.sub('{.*?}', 'wal_1', path)}")
            allowed = answer.headers["allow"].split(", ")
            assert (answer.status_code, answer.content) == (204, b"")
            assert allowed == sorted({"OPTIONS", *map(str.upper, item)}), path


async def test_methods_that_are_not_described_are_refused(stranger) -> None:
    for name in ("v1", "v2"):
        paths = (await stranger.get(f"/{name}/openapi.json")).json()["paths"]
        for path, item in paths.items():
            address = f"/{name}{re.sub('{.*?}', 'wal_1', path)}"
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(map(str.upper, item)):
                answer = await stranger.request(method, address)
                assert answer.status_code == 405, (method, address)
